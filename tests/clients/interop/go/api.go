// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"encoding/json"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflect "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

const locks = "holdfast.v1.Locks"

// What the server says of itself, and the connections made to it.
type api struct {
	services []string
	locks    protoreflect.ServiceDescriptor
	clients  []*client
}

// A message, by its JSON names; bytes are []byte to us and text from the server.
type message = map[string]any

func ask(stream reflect.ServerReflection_ServerReflectionInfoClient, question *reflect.ServerReflectionRequest) *reflect.ServerReflectionResponse {
	mustBe(codes.OK, stream.Send(question))
	answer, err := stream.Recv()
	mustBe(codes.OK, err)
	return answer
}

func discover(channel *grpc.ClientConn) *api {
	defer channel.Close()
	stream, err := reflect.NewServerReflectionClient(channel).ServerReflectionInfo(within(20))
	mustBe(codes.OK, err)
	list := &reflect.ServerReflectionRequest_ListServices{}
	find := &reflect.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: locks}
	listed := ask(stream, &reflect.ServerReflectionRequest{MessageRequest: list}).GetListServicesResponse()
	found := ask(stream, &reflect.ServerReflectionRequest{MessageRequest: find}).GetFileDescriptorResponse()
	mustBe(codes.OK, stream.CloseSend())
	_, err = stream.Recv()
	must(err == io.EOF, "after the end of the questions: %v", err)

	set := &descriptorpb.FileDescriptorSet{}
	for _, data := range found.FileDescriptorProto {
		file := &descriptorpb.FileDescriptorProto{}
		must(proto.Unmarshal(data, file) == nil, "a file that does not unpack")
		set.File = append(set.File, file)
	}
	files, err := protodesc.NewFiles(set)
	must(err == nil, "%v", err)
	service, err := files.FindDescriptorByName(locks)
	must(err == nil, "%v", err)
	api := &api{locks: service.(protoreflect.ServiceDescriptor)}
	for _, service := range listed.Service {
		api.services = append(api.services, service.Name)
	}
	return api
}

func (api *api) lists(name string) bool {
	for _, service := range api.services {
		if service == name {
			return true
		}
	}
	return false
}

func (api *api) method(name string) protoreflect.MethodDescriptor {
	return api.locks.Methods().ByName(protoreflect.Name(name))
}

func (api *api) comment(name string) string {
	return api.locks.ParentFile().SourceLocations().ByDescriptor(api.method(name)).LeadingComments
}

// A client of the locks, with a connection of its own.
type client struct {
	api     *api
	channel *grpc.ClientConn
}

func (api *api) connect() *client {
	client := &client{api, dial()}
	api.clients = append(api.clients, client)
	return client
}

func (api *api) closeAll() {
	for _, client := range api.clients {
		client.channel.Close()
	}
	api.clients = nil
}

func pack(kind protoreflect.MessageDescriptor, fields message) proto.Message {
	text, err := json.Marshal(fields)
	must(err == nil, "%v", err)
	packed := dynamicpb.NewMessage(kind)
	must(protojson.Unmarshal(text, packed) == nil, "%s is no %s", text, kind.Name())
	return packed
}

func unpack(packed proto.Message) message {
	fields := message{}
	text, err := protojson.Marshal(packed)
	must(err == nil, "%v", err)
	must(json.Unmarshal(text, &fields) == nil, "%s", text)
	return fields
}

func path(name string) string {
	return "/" + locks + "/" + name
}

func (client *client) call(ctx context.Context, name string, request message) (message, error) {
	method := client.api.method(name)
	answer := dynamicpb.NewMessage(method.Output())
	err := client.channel.Invoke(ctx, path(name), pack(method.Input(), request), answer)
	return unpack(answer), err
}

func (client *client) lease(key string) message {
	answer, err := client.call(within(20), "Acquire", message{"key": key})
	mustBe(codes.OK, err)
	lease, isLease := answer["lease"].(message)
	must(isLease, "%s is %v", key, answer)
	return lease
}

func (client *client) acquire(key string) any {
	return client.lease(key)["token"]
}

func (client *client) release(key string, token any) {
	answer, err := client.call(within(20), "Release", message{"key": key, "token": token})
	mustBe(codes.OK, err)
	must(answer["outcome"] == "OUTCOME_RELEASED", "%v", answer)
}

// "free" or "held".
func (client *client) inspect(key string) string {
	answer, err := client.call(within(20), "Inspect", message{"key": key})
	mustBe(codes.OK, err)
	return only(answer)
}

// The name of the only field.
func only(fields message) string {
	must(len(fields) == 1, "%v", fields)
	for name := range fields {
		return name
	}
	return ""
}

// A stream of events; what is not read stays with gRPC.
type stream struct {
	call   grpc.ClientStream
	method protoreflect.MethodDescriptor
	cancel context.CancelFunc
}

// Begins a call with its first message.
func (client *client) open(name string, first message) *stream {
	method := client.api.method(name)
	ctx, cancel := context.WithCancel(within(60))
	description := &grpc.StreamDesc{ServerStreams: true, ClientStreams: method.IsStreamingClient()}
	call, err := client.channel.NewStream(ctx, description, path(name))
	mustBe(codes.OK, err)
	stream := &stream{call, method, cancel}
	stream.send(first)
	if !method.IsStreamingClient() {
		mustBe(codes.OK, call.CloseSend())
	}
	return stream
}

func (client *client) hold(ask message) *stream {
	return client.open("Hold", message{"ask": ask})
}

func (client *client) held(key string) *stream {
	stream := client.hold(message{"key": key})
	stream.expect("granted")
	return stream
}

func (stream *stream) send(request message) {
	err := stream.call.SendMsg(pack(stream.method.Input(), request))
	must(err == nil || err == io.EOF, "%v", err) // io.EOF: what is received tells why
}

func (stream *stream) receive() (message, error) {
	event := dynamicpb.NewMessage(stream.method.Output())
	err := stream.call.RecvMsg(event)
	return unpack(event), err
}

// What kind of event comes next.
func (stream *stream) next() string {
	event, err := stream.receive()
	mustBe(codes.OK, err)
	return only(event)
}

func (stream *stream) expect(kind string) {
	heard := stream.next()
	for heard == "queued" && kind != "queued" {
		heard = stream.next()
	}
	must(heard == kind, "heard %s, not %s", heard, kind)
}

// The error that comes instead of a grant.
func (stream *stream) failure() error {
	event, err := stream.receive()
	for err == nil && only(event) == "queued" {
		event, err = stream.receive()
	}
	must(err != nil, "no error but %v", event)
	return err
}

func (stream *stream) abandon() {
	stream.cancel()
	_, err := stream.receive()
	mustBe(codes.Canceled, err)
}

func (stream *stream) release() {
	mustBe(codes.OK, stream.call.CloseSend())
	stream.expect("released")
	_, err := stream.receive()
	must(err == io.EOF, "after the release: %v", err)
}
