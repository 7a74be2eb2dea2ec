// Package service stands in for a Service in tests: one address, and behind it whoever answers. No node runs a real one there.
package service

import (
	"fmt"
	"io"
	"iter"
	"net"
)

// Service leads each connection to the first of its backends that takes it.
type Service struct {
	listener net.Listener
	backends iter.Seq[string]
}

// Listen starts a service on a free address of this machine. The backends, each host:port, are asked for anew for each
// connection, by several at once.
func Listen(backends iter.Seq[string]) (*Service, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for a service: %w", err)
	}
	s := &Service{listener, backends}
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go s.forward(from)
		}
	}()
	return s, nil
}

// Address is host:port.
func (s *Service) Address() string { return s.listener.Addr().String() }

// Close takes no more connections. Those that are open go on.
func (s *Service) Close() error { return s.listener.Close() }

func (s *Service) forward(from net.Conn) {
	defer func() { _ = from.Close() }()
	for backend := range s.backends {
		to, err := net.Dial("tcp", backend)
		if err != nil {
			continue
		}
		defer func() { _ = to.Close() }()
		go func() {
			_, _ = io.Copy(to, from)
			_ = to.Close()
		}()
		_, _ = io.Copy(from, to)
		return
	}
}
