package certs

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"
)

// Terms are the times by which certificates change. What is zero is as for a cluster.
type Terms struct {
	Lifetime time.Duration // of a certificate and its authority
	Renewal  time.Duration // the age at which the next one is made; of two thirds of its life
	Settle   time.Duration // how long an authority has to be in the bundle before its certificate is served: an API server may be behind
	Linger   time.Duration // how long one that is kept no more stays in the bundle: a replica may be behind, or older than this program
}

// Complete fills in what is zero.
func (t Terms) Complete() Terms {
	t.Lifetime = cmp.Or(t.Lifetime, 90*24*time.Hour)
	return Terms{
		Lifetime: t.Lifetime,
		Renewal:  cmp.Or(t.Renewal, t.Lifetime/3*2),
		Settle:   cmp.Or(t.Settle, time.Minute),
		Linger:   cmp.Or(t.Linger, time.Hour),
	}
}

// Renew returns what is to be kept, and whether that is something new: a pair for the hosts before the one that is kept now.
func (t Terms) Renew(pairs []Pair, hosts []string, now time.Time) (_ []Pair, renewed bool, err error) {
	if len(pairs) > 0 && now.Before(pairs[0].made().Add(t.Renewal)) && now.Before(pairs[0].ends()) && pairs[0].covers(hosts) {
		return pairs, false, nil
	}
	for _, pair := range pairs[:min(len(pairs), 1)] { // another replica may be called by other names
		hosts = union(hosts, pair.hosts())
	}
	made, err := New(hosts, now, t.Lifetime)
	if err != nil {
		return nil, false, err
	}
	next := []Pair{made}
	if len(pairs) > 0 && now.Before(pairs[0].ends()) {
		next = append(next, pairs[0])
	}
	return next, true, nil
}

func union(hosts, others []string) []string {
	all := slices.Clone(hosts)
	for _, host := range others {
		if !slices.Contains(all, host) {
			all = append(all, host)
		}
	}
	return all
}

// Sight remembers since when something has been seen without a break.
type Sight map[string]time.Time

// See takes note of what is seen now, and forgets the rest.
func (s Sight) See(seen [][]byte, now time.Time) {
	for known := range s {
		if !slices.ContainsFunc(seen, func(each []byte) bool { return string(each) == known }) {
			delete(s, known)
		}
	}
	for _, each := range seen {
		if _, known := s[string(each)]; !known {
			s[string(each)] = now
		}
	}
}

// lasted says whether it has been seen for that long.
func (s Sight) lasted(what []byte, long time.Duration, now time.Time) bool {
	since, seen := s[string(what)]
	return seen && !now.Before(since.Add(long))
}

// Authorities are those of a bundle that are certificates: one that is none would make the whole bundle invalid.
func Authorities(bundle []byte) (authorities [][]byte) {
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if _, err := x509.ParseCertificate(block.Bytes); err == nil {
			authorities = append(authorities, encode(block.Bytes))
		}
	}
	return authorities
}

// Strangers are the authorities of a bundle that are of no pair.
func Strangers(bundle []byte, pairs []Pair) [][]byte {
	return slices.DeleteFunc(Authorities(bundle), func(authority []byte) bool { return of(pairs, authority) })
}

func of(pairs []Pair, authority []byte) bool {
	return slices.ContainsFunc(pairs, func(p Pair) bool { return bytes.Equal(p.Authority, authority) })
}

// Bundle is what the API server has to trust: the authorities of the pairs, and strangers that may be in use still.
func (t Terms) Bundle(bundle []byte, pairs []Pair, strangers Sight, now time.Time) []byte {
	stays := slices.DeleteFunc(Authorities(bundle), func(authority []byte) bool {
		return expired(authority, now) || !of(pairs, authority) && strangers.lasted(authority, t.Linger, now)
	})
	for _, pair := range slices.Backward(pairs) {
		missing := !slices.ContainsFunc(stays, func(authority []byte) bool { return bytes.Equal(authority, pair.Authority) })
		if missing && now.Before(pair.ends()) {
			stays = append(stays, pair.Authority)
		}
	}
	return bytes.Join(stays, nil)
}

func expired(authority []byte, now time.Time) bool {
	block, _ := pem.Decode(authority)
	certificate, err := x509.ParseCertificate(block.Bytes)
	return err != nil || !now.Before(certificate.NotAfter)
}

// Choose returns the pair to serve: the newest of which the authority has been trusted for long enough, else what is served
// already, else the one that is likeliest to be trusted, the oldest. Nil: there is none.
func (t Terms) Choose(serving *Pair, pairs []Pair, hosts []string, trusted Sight, now time.Time) *Pair {
	var usable []Pair
	for _, pair := range pairs {
		if pair.covers(hosts) && now.Before(pair.ends()) {
			usable = append(usable, pair)
		}
	}
	for i := range usable {
		if trusted.lasted(usable[i].Authority, t.Settle, now) {
			return &usable[i]
		}
	}
	if serving != nil && now.Before(serving.ends()) {
		return serving
	}
	if len(usable) == 0 {
		return nil
	}
	return &usable[len(usable)-1]
}

// Next is when to look again, if nothing happens before.
func (t Terms) Next(pairs []Pair, trusted, strangers Sight, now time.Time) time.Duration {
	next := now.Add(time.Hour) // what is far away may come nearer: clocks are set
	soon := func(at time.Time) {
		if at.After(now) && at.Before(next) {
			next = at
		}
	}
	for i, pair := range pairs {
		if i == 0 {
			soon(pair.made().Add(t.Renewal))
		}
		soon(pair.ends())
	}
	for _, since := range trusted {
		soon(since.Add(t.Settle))
	}
	for _, since := range strangers {
		soon(since.Add(t.Linger))
	}
	return next.Sub(now)
}
