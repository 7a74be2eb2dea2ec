package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Serving is the pair that a server presents to whoever connects from now on. The zero value has none.
type Serving struct{ pair atomic.Pointer[Pair] }

// Pair is what is served; nil: nothing.
func (s *Serving) Pair() *Pair { return s.pair.Load() }

// Serve presents another pair.
func (s *Serving) Serve(pair *Pair) { s.pair.Store(pair) }

// GetCertificate is for tls.Config.
func (s *Serving) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	pair := s.pair.Load()
	if pair == nil {
		return nil, errors.New("there is no certificate yet")
	}
	return &pair.Certificate, nil
}

// Verify says why whoever trusts the bundle does not trust a certificate; nil: he does.
func Verify(certificate *tls.Certificate, bundle []byte, now time.Time) error {
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	for _, each := range certificate.Certificate[1:] {
		if authority, err := x509.ParseCertificate(each); err == nil {
			between.AddCert(authority)
		}
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now})
	return err
}
