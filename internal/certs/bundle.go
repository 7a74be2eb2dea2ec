package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
)

// bundled is how many authorities are trusted at once: those of all replicas, and of the ones before them while they hand
// over. Were there more replicas than this, they would take each other's away without end.
const bundled = 32

// Join adds an authority to those that are trusted already, so that replicas that come and go do not take each other's
// away. The oldest beyond a few are dropped, and so is what is no certificate: it would make the whole bundle invalid.
func Join(trusted, authority []byte) []byte {
	var others, joined [][]byte
	known := false
	for block, rest := pem.Decode(trusted); block != nil; block, rest = pem.Decode(rest) {
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			continue
		}
		certificate := encode(block.Bytes)
		known = known || bytes.Equal(certificate, authority)
		joined = append(joined, certificate)
	}
	if !known {
		joined = append(joined, authority)
	}
	for _, certificate := range joined {
		if !bytes.Equal(certificate, authority) {
			others = append(others, certificate)
		}
	}
	if surplus := len(others) - (bundled - 1); surplus > 0 {
		dropped := others[:surplus]
		joined = slices.DeleteFunc(joined, func(certificate []byte) bool {
			return slices.ContainsFunc(dropped, func(d []byte) bool { return bytes.Equal(d, certificate) })
		})
	}
	return bytes.Join(joined, nil)
}
