package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// lifetime of a certificate. Its key dies with the process, so what bounds it is how long a process may run.
const lifetime = 10 * 365 * 24 * time.Hour

// skew is how far the API server's clock may be behind.
const skew = time.Hour

// Serving is a certificate with the authority that vouches for it.
type Serving struct {
	CA          []byte // PEM, for whoever has to trust the certificate
	certificate tls.Certificate
}

// GetCertificate is for tls.Config.
func (s *Serving) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &s.certificate, nil
}

// SelfSigned makes an authority and a certificate for the hosts: DNS names and IP addresses.
func SelfSigned(hosts []string, now time.Time) (*Serving, error) {
	authority, err := template("entrustment-operator CA", now)
	if err != nil {
		return nil, err
	}
	authority.IsCA, authority.BasicConstraintsValid = true, true
	authority.MaxPathLenZero = true
	authority.KeyUsage = x509.KeyUsageCertSign
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of the authority: %w", err)
	}

	leaf, err := template("entrustment-operator webhook", now)
	if err != nil {
		return nil, err
	}
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, host)
		}
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of the webhook: %w", err)
	}

	signedAuthority, err := x509.CreateCertificate(rand.Reader, authority, authority, &authorityKey.PublicKey, authorityKey)
	if err != nil {
		return nil, fmt.Errorf("signing the authority: %w", err)
	}
	signedLeaf, err := x509.CreateCertificate(rand.Reader, leaf, authority, &leafKey.PublicKey, authorityKey)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate of the webhook: %w", err)
	}
	return &Serving{
		CA:          encode(signedAuthority),
		certificate: tls.Certificate{Certificate: [][]byte{signedLeaf, signedAuthority}, PrivateKey: leafKey},
	}, nil
}

func template(name string, now time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("choosing a serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-skew),
		NotAfter:     now.Add(lifetime),
	}, nil
}

func encode(certificate []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
}
