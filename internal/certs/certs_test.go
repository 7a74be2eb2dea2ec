package certs_test

import (
	"bytes"
	"crypto/tls"
	"slices"
	"testing"
	"time"

	"entrustment.dev/operator/internal/certs"
)

var (
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	terms = certs.Terms{Lifetime: 90 * time.Hour}.Complete() // renewed at 60
	hosts = []string{"entrustment-webhook.entrustment-system.svc", "127.0.0.1", "::1"}
)

func TestWhoTrustsTheAuthorityTrustsTheCertificate(t *testing.T) {
	serving := made(t, noon)
	later := made(t, noon)
	for name, test := range map[string]struct {
		bundle []byte
		at     time.Time
		fails  bool
	}{
		"its own":                   {bundle: serving.Authority, at: noon},
		"among others":              {bundle: slices.Concat(later.Authority, serving.Authority), at: noon},
		"another one":               {bundle: later.Authority, at: noon, fails: true},
		"nobody":                    {at: noon, fails: true},
		"not after its end":         {bundle: serving.Authority, at: noon.Add(90*time.Hour + time.Second), fails: true},
		"though a clock is behind":  {bundle: serving.Authority, at: noon.Add(-59 * time.Minute)},
		"not long before its start": {bundle: serving.Authority, at: noon.Add(-2 * time.Hour), fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := certs.Verify(&serving.Certificate, test.bundle, test.at); (err != nil) != test.fails {
				t.Error(err)
			}
		})
	}
}

func TestWhatIsKeptIsRead(t *testing.T) {
	newer, older := made(t, noon.Add(time.Hour)), made(t, noon)
	data, err := certs.Data([]certs.Pair{newer, older})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(data["tls.crt"], data["tls.key"]); err != nil {
		t.Errorf("others cannot read it: %v", err)
	}
	equal(t, certs.Parse(data), newer, older)

	for name, test := range map[string]struct {
		change func(data map[string][]byte)
		want   []certs.Pair
	}{
		"nothing":           {func(data map[string][]byte) { clear(data) }, nil},
		"no key":            {func(data map[string][]byte) { delete(data, "tls.key") }, []certs.Pair{older}},
		"another's key":     {func(data map[string][]byte) { data["tls.key"] = data["previous-tls.key"] }, []certs.Pair{older}},
		"another authority": {func(data map[string][]byte) { data["previous-ca.crt"] = data["ca.crt"] }, []certs.Pair{newer}},
		"no certificate":    {func(data map[string][]byte) { data["ca.crt"] = []byte("Cg==") }, []certs.Pair{older}},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := certs.Data([]certs.Pair{newer, older})
			if err != nil {
				t.Fatal(err)
			}
			test.change(data)
			equal(t, certs.Parse(data), test.want...)
		})
	}
}

func TestRenew(t *testing.T) {
	first, second := made(t, noon), made(t, noon.Add(time.Hour))
	for name, test := range map[string]struct {
		pairs []certs.Pair
		hosts []string
		now   time.Time
		keeps []certs.Pair // behind the new one
		same  bool
	}{
		"the first":                       {hosts: hosts, now: noon},
		"it is young":                     {pairs: []certs.Pair{first}, hosts: hosts, now: noon.Add(59 * time.Hour), same: true},
		"two thirds of its life are over": {pairs: []certs.Pair{first}, hosts: hosts, now: noon.Add(60 * time.Hour), keeps: []certs.Pair{first}},
		"it has ended":                    {pairs: []certs.Pair{first}, hosts: hosts, now: noon.Add(90 * time.Hour)},
		"this replica has another name":   {pairs: []certs.Pair{first}, hosts: []string{"10.0.0.1"}, now: noon, keeps: []certs.Pair{first}},
		"there is room for two":           {pairs: []certs.Pair{second, first}, hosts: hosts, now: noon.Add(61 * time.Hour), keeps: []certs.Pair{second}},
	} {
		t.Run(name, func(t *testing.T) {
			got, renewed, err := terms.Renew(test.pairs, test.hosts, test.now)
			if err != nil || renewed == test.same {
				t.Fatal(renewed, err)
			}
			if test.same {
				equal(t, got, test.pairs...)
				return
			}
			equal(t, got[1:], test.keeps...)
			for _, host := range slices.Concat(hosts, test.hosts) {
				if err := got[0].Certificate.Leaf.VerifyHostname(host); err != nil {
					t.Error(err)
				}
			}
			if again, renewed, err := terms.Renew(got, hosts, test.now); renewed || err != nil {
				t.Errorf("the other replica makes another one: %d, %v", len(again), err)
			}
		})
	}
}

func TestBundle(t *testing.T) {
	newer, older := made(t, noon.Add(time.Hour)), made(t, noon)
	stranger, lapsed := made(t, noon), made(t, noon.Add(-91*time.Hour))
	join := func(pairs ...certs.Pair) (bundle []byte) {
		for _, pair := range pairs {
			bundle = append(bundle, pair.Authority...)
		}
		return bundle
	}
	seen := func(ago time.Duration) certs.Sight {
		sight := certs.Sight{}
		sight.See([][]byte{stranger.Authority}, noon.Add(-ago))
		return sight
	}
	both := []certs.Pair{newer, older}
	for name, test := range map[string]struct {
		trusted   []byte
		strangers certs.Sight
		want      []byte
	}{
		"the first":                           {nil, nil, join(older, newer)},
		"both are there":                      {join(newer, older), nil, join(newer, older)},
		"the next one comes":                  {join(older), nil, join(older, newer)},
		"what nobody knows stays for a while": {join(stranger, older, newer), seen(59 * time.Minute), join(stranger, older, newer)},
		"and goes":                            {join(stranger, older, newer), seen(time.Hour), join(older, newer)},
		"what has ended goes":                 {join(lapsed, older, newer), nil, join(older, newer)},
		"what is no certificate goes":         {[]byte("Cg=="), nil, join(older, newer)},
		"text between certificates goes":      {slices.Concat(older.Authority, []byte("# newer\n"), newer.Authority), nil, join(older, newer)},
		"a certificate that is broken goes":   {bytes.Replace(join(older, newer), []byte("MII"), []byte("MIJ"), 1), nil, join(newer, older)},
	} {
		t.Run(name, func(t *testing.T) {
			got := terms.Bundle(test.trusted, both, test.strangers, noon)
			if !bytes.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			if again := terms.Bundle(got, both, test.strangers, noon); !bytes.Equal(again, got) {
				t.Error("it changes again: replicas would write for ever")
			}
		})
	}
}

func TestChoose(t *testing.T) {
	newer, older, gone := made(t, noon.Add(-time.Hour)), made(t, noon.Add(-61*time.Hour)), made(t, noon.Add(-91*time.Hour))
	elsewhere, err := certs.New([]string{"example.com"}, noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	since := func(ago time.Duration, pairs ...certs.Pair) certs.Sight {
		sight := certs.Sight{}
		for _, pair := range pairs {
			sight[string(pair.Authority)] = noon.Add(-ago)
		}
		return sight
	}
	for name, test := range map[string]struct {
		serving *certs.Pair
		pairs   []certs.Pair
		trusted certs.Sight
		want    *certs.Pair
	}{
		"there is none":                                  {},
		"the first, whoever trusts it":                   {pairs: []certs.Pair{newer}, want: &newer},
		"the next is not trusted yet":                    {serving: &older, pairs: []certs.Pair{newer, older}, trusted: since(time.Hour, older), want: &older},
		"the next is trusted since a moment":             {serving: &older, pairs: []certs.Pair{newer, older}, trusted: since(59*time.Second, newer, older), want: &older},
		"the next has settled":                           {serving: &older, pairs: []certs.Pair{newer, older}, trusted: since(time.Minute, newer, older), want: &newer},
		"after a restart the one that is trusted":        {pairs: []certs.Pair{newer, older}, trusted: since(0, newer, older), want: &older},
		"not what has ended":                             {serving: &gone, pairs: []certs.Pair{newer, gone}, want: &newer},
		"not for other names":                            {pairs: []certs.Pair{elsewhere}},
		"what is served stays though it is not kept":     {serving: &older, pairs: []certs.Pair{newer}, trusted: since(0, newer), want: &older},
		"what is served stays when nothing is to be had": {serving: &older, want: &older},
		"nothing, where all has ended":                   {serving: &gone, pairs: []certs.Pair{gone}},
	} {
		t.Run(name, func(t *testing.T) {
			got := terms.Choose(test.serving, test.pairs, hosts, test.trusted, noon)
			if (got == nil) != (test.want == nil) || got != nil && !bytes.Equal(got.Authority, test.want.Authority) {
				t.Errorf("another one: %v", got)
			}
		})
	}
}

func TestSightForgetsWhatIsOutOfSight(t *testing.T) {
	a, b := []byte("a"), []byte("b")
	sight := certs.Sight{}
	sight.See([][]byte{a, b}, noon)
	sight.See([][]byte{b}, noon.Add(time.Minute))
	sight.See([][]byte{a, b}, noon.Add(time.Hour))
	if !sight["a"].Equal(noon.Add(time.Hour)) || !sight["b"].Equal(noon) || len(sight) != 2 {
		t.Error(sight)
	}
}

func TestNext(t *testing.T) {
	young, due := made(t, noon), made(t, noon.Add(-59*time.Hour-30*time.Minute))
	ending := made(t, noon.Add(-90*time.Hour+10*time.Minute))
	for name, test := range map[string]struct {
		pairs              []certs.Pair
		trusted, strangers certs.Sight
		want               time.Duration
	}{
		"nothing to do":          {pairs: []certs.Pair{young}, want: time.Hour},
		"the next is to be made": {pairs: []certs.Pair{due}, want: 30 * time.Minute},
		"one ends":               {pairs: []certs.Pair{young, ending}, want: 10 * time.Minute},
		"one settles":            {pairs: []certs.Pair{young}, trusted: certs.Sight{"a": noon.Add(-20 * time.Second)}, want: 40 * time.Second},
		"one has lingered":       {pairs: []certs.Pair{young}, strangers: certs.Sight{"a": noon.Add(-20 * time.Minute)}, want: 40 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			if got := terms.Next(test.pairs, test.trusted, test.strangers, noon); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func made(t *testing.T, at time.Time) certs.Pair {
	t.Helper()
	pair, err := certs.New(hosts, at, terms.Lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func equal(t *testing.T, got []certs.Pair, want ...certs.Pair) {
	t.Helper()
	same := slices.EqualFunc(got, want, func(a, b certs.Pair) bool {
		return bytes.Equal(a.Authority, b.Authority) && bytes.Equal(a.Certificate.Certificate[0], b.Certificate.Certificate[0])
	})
	if !same {
		t.Errorf("%d pairs, want %d others", len(got), len(want))
	}
}
