// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	defaultServer = "tcp://127.0.0.1:7420"
	defaultPort   = "7420"
	pathMax       = 107 // bytes of a unix socket's path
)

var authority = regexp.MustCompile(`^(?:\[([0-9A-Fa-f:.]+)\]|([^][:/@\s]+))(?::([0-9]{1,5}))?$`)

// An address is where the server is, and what gRPC makes of it.
type address struct {
	url    string
	target string
	host   string
	isTLS  bool
}

func refuseAddress(text, why string) error {
	return errorf(ErrInvalid, "server address %.100q: %s", text, why)
}

// parseAddress reads unix:///path, tcp://host:port or tls://host:port. Empty: $HOLDFAST_SERVER, else the default.
func parseAddress(text string) (address, error) {
	for _, other := range []string{os.Getenv("HOLDFAST_SERVER"), defaultServer} {
		if text == "" {
			text = other
		}
	}
	scheme, rest, _ := strings.Cut(text, "://")
	switch scheme {
	case "unix":
		return unixAddress(text, rest)
	case "tcp", "tls":
		return networkAddress(text, rest, scheme == "tls")
	}
	return address{}, refuseAddress(text, "it must start with unix://, tcp:// or tls://")
}

func unixAddress(text, path string) (address, error) {
	isRight := strings.HasPrefix(path, "/") && !strings.Contains(path, "\x00")
	if !isRight || len(path) < 2 || len(path) > pathMax {
		return address{}, refuseAddress(text,
			"after unix:// comes an absolute path of at most "+strconv.Itoa(pathMax)+" bytes")
	}
	target := url.URL{Scheme: "unix", Path: path}
	return address{url: text, target: "unix://" + target.EscapedPath()}, nil
}

func networkAddress(text, rest string, isTLS bool) (address, error) {
	const expected = "expected HOST:PORT, with an IPv6 address in brackets"
	parts := authority.FindStringSubmatch(rest)
	if parts == nil {
		return address{}, refuseAddress(text, expected)
	}
	host, port := parts[1]+parts[2], parts[3]
	if port == "" {
		port = defaultPort
	}
	if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 {
		return address{}, refuseAddress(text, expected)
	}
	target := "dns:///" + net.JoinHostPort(host, port)
	return address{url: text, target: target, host: host, isTLS: isTLS}, nil
}

// credentialsFor reads the PEM files of the configuration, which only tls:// may have.
func credentialsFor(address address, config Config) (credentials.TransportCredentials, error) {
	if !address.isTLS {
		if config.CAFile != "" || config.CertFile != "" || config.KeyFile != "" {
			return nil, refuseAddress(address.url, "certificates are given, but it is not tls://")
		}
		return insecure.NewCredentials(), nil
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: address.host}
	if config.CAFile != "" {
		pem, err := os.ReadFile(config.CAFile)
		if err != nil {
			return nil, errorf(ErrInvalid, "CAFile: %v", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errorf(ErrInvalid, "CAFile: %s has no certificate", config.CAFile)
		}
	}
	if config.CertFile != "" || config.KeyFile != "" {
		certificate, err := tls.LoadX509KeyPair(config.CertFile, config.KeyFile)
		if err != nil {
			return nil, errorf(ErrInvalid, "CertFile and KeyFile: %v", err)
		}
		trust.Certificates = []tls.Certificate{certificate}
	}
	return credentials.NewTLS(trust), nil
}
