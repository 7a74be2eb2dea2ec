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
	"slices"
	"time"
)

// skew is how far the API server's clock may be behind.
const skew = time.Hour

// Pair is a certificate with the authority that vouches for it.
type Pair struct {
	Authority   []byte          // PEM, for whoever has to trust the certificate
	Certificate tls.Certificate // with its leaf, followed by the authority
}

// New makes an authority and a certificate for the hosts: DNS names and IP addresses.
func New(hosts []string, now time.Time, lifetime time.Duration) (Pair, error) {
	authority, err := template("entrustment-operator CA", now, lifetime)
	if err != nil {
		return Pair{}, err
	}
	authority.IsCA, authority.BasicConstraintsValid = true, true
	authority.MaxPathLenZero = true
	authority.KeyUsage = x509.KeyUsageCertSign
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("making the key of the authority: %w", err)
	}

	leaf, err := template("entrustment-operator webhook", now, lifetime)
	if err != nil {
		return Pair{}, err
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
		return Pair{}, fmt.Errorf("making the key of the webhook: %w", err)
	}

	signedAuthority, err := x509.CreateCertificate(rand.Reader, authority, authority, &authorityKey.PublicKey, authorityKey)
	if err != nil {
		return Pair{}, fmt.Errorf("signing the authority: %w", err)
	}
	signedLeaf, err := x509.CreateCertificate(rand.Reader, leaf, authority, &leafKey.PublicKey, authorityKey)
	if err != nil {
		return Pair{}, fmt.Errorf("signing the certificate of the webhook: %w", err)
	}
	parsed, err := x509.ParseCertificate(signedLeaf)
	if err != nil {
		return Pair{}, fmt.Errorf("reading the certificate of the webhook: %w", err)
	}
	return Pair{
		Authority:   encode(signedAuthority),
		Certificate: tls.Certificate{Certificate: [][]byte{signedLeaf, signedAuthority}, PrivateKey: leafKey, Leaf: parsed},
	}, nil
}

func template(name string, now time.Time, lifetime time.Duration) (*x509.Certificate, error) {
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

// made is when the pair was made.
func (p Pair) made() time.Time { return p.Certificate.Leaf.NotBefore.Add(skew) }

// ends is when nobody accepts the certificate any more.
func (p Pair) ends() time.Time { return p.Certificate.Leaf.NotAfter }

// hosts are those for which the certificate is.
func (p Pair) hosts() []string {
	hosts := slices.Clone(p.Certificate.Leaf.DNSNames)
	for _, ip := range p.Certificate.Leaf.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts
}

func (p Pair) covers(hosts []string) bool {
	return !slices.ContainsFunc(hosts, func(host string) bool { return p.Certificate.Leaf.VerifyHostname(host) != nil })
}

// The names under which pairs are kept, the newest first; the first are those that Secrets of certificates have everywhere.
var kept = []struct{ authority, certificate, key string }{
	{"ca.crt", "tls.crt", "tls.key"},
	{"previous-ca.crt", "previous-tls.crt", "previous-tls.key"},
}

// Data is how pairs are kept, the newest first. There is room for two.
func Data(pairs []Pair) (map[string][]byte, error) {
	data := map[string][]byte{}
	for i, pair := range pairs[:min(len(pairs), len(kept))] {
		key, err := x509.MarshalPKCS8PrivateKey(pair.Certificate.PrivateKey)
		if err != nil {
			return nil, fmt.Errorf("encoding the key of the webhook: %w", err)
		}
		data[kept[i].authority] = pair.Authority
		data[kept[i].certificate] = encode(pair.Certificate.Certificate[0])
		data[kept[i].key] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	}
	return data, nil
}

// Parse reads what was kept, the newest first, and leaves out what is broken: it is as good as not there.
func Parse(data map[string][]byte) (pairs []Pair) {
	for _, name := range kept {
		if pair, ok := parse(data[name.authority], data[name.certificate], data[name.key]); ok {
			pairs = append(pairs, pair)
		}
	}
	return pairs
}

func parse(authority, certificate, key []byte) (Pair, bool) {
	block, _ := pem.Decode(authority)
	if block == nil {
		return Pair{}, false
	}
	issuer, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Pair{}, false
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil || pair.Leaf.CheckSignatureFrom(issuer) != nil {
		return Pair{}, false
	}
	pair.Certificate = [][]byte{pair.Certificate[0], block.Bytes}
	return Pair{Authority: encode(block.Bytes), Certificate: pair}, true
}
