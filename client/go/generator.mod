// What generates the protocol's code; see module.cmake. Whoever uses the library needs none of it.
module github.com/holdfast/holdfast-go

go 1.21

require (
	google.golang.org/grpc/cmd/protoc-gen-go-grpc v1.5.1
	google.golang.org/protobuf v1.35.2
)
