package certs_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"entrustment.dev/operator/internal/certs"
)

func TestSelfSignedIsTrustedThroughItsAuthority(t *testing.T) {
	serving := selfSigned(t, "entrustment-webhook.entrustment-system.svc", "127.0.0.1", "::1")

	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: serving.GetCertificate})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake()
			_ = conn.Close()
		}
	}()

	for name, test := range map[string]struct {
		trust *certs.Serving
		as    string
		fails bool
	}{
		"by the name of the Service":     {trust: serving, as: "entrustment-webhook.entrustment-system.svc"},
		"by address":                     {trust: serving, as: "127.0.0.1"},
		"by address of the other family": {trust: serving, as: "::1"},
		"not by another name":            {trust: serving, as: "example.com", fails: true},
		"not through another process's":  {trust: selfSigned(t, "127.0.0.1"), as: "127.0.0.1", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			pool := x509.NewCertPool()
			if !pool.AppendCertsFromPEM(test.trust.CA) {
				t.Fatal("the authority is no PEM certificate")
			}
			conn, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			client := tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: test.as, MinVersion: tls.VersionTLS12})
			defer func() { _ = client.Close() }()
			if err := client.Handshake(); (err != nil) != test.fails {
				t.Errorf("handshake: %v", err)
			}
		})
	}
}

func TestJoin(t *testing.T) {
	mine, theirs := selfSigned(t, "a").CA, selfSigned(t, "b").CA
	var full [][]byte // as many as fit
	for range 32 {
		full = append(full, selfSigned(t, "old").CA)
	}
	bundle := func(certificates ...[]byte) []byte { return bytes.Join(certificates, nil) }

	for name, test := range map[string]struct{ trusted, want []byte }{
		"the first":                            {nil, mine},
		"mine is there already":                {mine, mine},
		"another replica's stays":              {theirs, bundle(theirs, mine)},
		"the order in which they came stays":   {bundle(mine, theirs), bundle(mine, theirs)},
		"what is no certificate goes":          {[]byte("Cg=="), mine},
		"text between certificates goes":       {bundle([]byte("# theirs\n"), theirs), bundle(theirs, mine)},
		"the oldest makes room":                {bundle(full...), bundle(bundle(full[1:]...), mine)},
		"mine is not dropped for being oldest": {bundle(mine, bundle(full...)), bundle(mine, bundle(full[1:]...))},
		"a certificate that is broken goes":    {bytes.Replace(theirs, []byte("MII"), []byte("MIJ"), 1), mine},
	} {
		t.Run(name, func(t *testing.T) {
			joined := certs.Join(test.trusted, mine)
			if !bytes.Equal(joined, test.want) {
				t.Errorf("got\n%s\nwant\n%s", joined, test.want)
			}
			if again := certs.Join(joined, mine); !bytes.Equal(again, joined) {
				t.Error("joining twice changes the bundle: replicas would write for ever")
			}
		})
	}
}

func selfSigned(t *testing.T, hosts ...string) *certs.Serving {
	t.Helper()
	serving, err := certs.SelfSigned(hosts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return serving
}
