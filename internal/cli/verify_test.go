package cli

import "testing"

func TestWhatProbesProve(t *testing.T) {
	found := func(allowed, denied bool) []probeFound {
		return []probeFound{{Expected: true, Connected: allowed}, {Connected: denied}}
	}
	for name, test := range map[string]struct {
		found            []probeFound
		proven, enforced bool
	}{
		"as it should be":        {found(true, false), true, true},
		"both get through":       {found(true, true), true, false},
		"only who must not does": {found(false, true), true, false},
		"nobody gets through":    {found(false, false), false, false},
		"nothing was found":      {nil, false, false},
		"one probe alone":        {found(true, false)[:1], false, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := judge(test.found); got.Proven != test.proven || got.Enforced != test.enforced || test.proven && got.Message == "" {
				t.Errorf("%+v", got)
			}
		})
	}
}
