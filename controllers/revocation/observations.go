package revocation

import (
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/draining"
)

var podKind = metav1.TypeMeta{APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Pod"}

// observations are what was seen of namespaces. They may be lost: what they spare is a second end of pods that were let in
// under what is still granted.
type observations struct {
	mu   sync.Mutex
	seen map[string]*sight
}

// sight is what was seen of one namespace.
type sight struct {
	holders      map[draining.Key]holders
	left         map[draining.Key]draining.Left
	lost         time.Time // since when something may be draining; zero: it was not seen
	noncompliant int
	ending       bool               // some of them were told to end
	told         map[types.UID]bool // pods of which it was told that they do not comply
}

// holders are the pods that were there after a grant was lost.
type holders struct {
	access     types.UID
	generation int64
	uids       map[types.UID]bool
}

func (o *observations) of(namespace string) *sight {
	if o.seen == nil {
		o.seen = map[string]*sight{}
	}
	if o.seen[namespace] == nil {
		o.seen[namespace] = &sight{told: map[types.UID]bool{}}
	}
	return o.seen[namespace]
}

// known are the pods that held a noted grant when last seen; nil: nobody has looked since it was lost.
func (o *observations) known(access *v1alpha1.PersonalDataAccess, note *v1alpha1.DrainingGrant) map[types.UID]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.of(access.Namespace).holders[draining.Of(note)]
	if h.access != access.UID || h.generation != note.Generation {
		return nil
	}
	return h.uids
}

func (o *observations) remember(namespace string, now map[draining.Key]holders) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.of(namespace).holders = now
}

func (o *observations) observe(namespace string, left map[draining.Key]draining.Left) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.of(namespace).left = maps.Clone(left)
}

// isDraining says whether something was left in a namespace when it was last looked at, or pods were told to end.
func (o *observations) isDraining(namespace string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.seen[namespace]
	return s != nil && (len(s.left) > 0 || s.ending)
}

// isEnding says whether something is left that somebody ends. Seeing a pod go wakes us, but perhaps before it was noted that it was
// told to.
func (o *observations) isEnding(namespace string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.of(namespace)
	return s.ending || slices.ContainsFunc(slices.Collect(maps.Values(s.left)), func(l draining.Left) bool { return !l.Stays })
}

// lose notes when a namespace lost something, unless it is draining already.
func (o *observations) lose(namespace string, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.of(namespace); s.lost.IsZero() || len(s.left) == 0 {
		s.lost = at
	}
}

// drained is since when something that is gone now was draining; zero: it was not seen.
func (o *observations) drained(namespace string) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.of(namespace)
	since := s.lost
	s.lost = time.Time{}
	return since
}

// holding says what keeps a pod under a contract, as far as it was seen.
func (o *observations) holding(namespace, entrustment string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.seen[namespace]; s != nil {
		for key, left := range s.left {
			if key.Entrustment == entrustment && left.Pod != "" {
				return left.Pod
			}
		}
	}
	return ""
}

// isNews says whether nobody was told of a pod yet.
func (o *observations) isNews(namespace string, uid types.UID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.of(namespace)
	news := !s.told[uid]
	s.told[uid] = true
	return news
}

// count keeps how many pods do not comply, and whether some are ending, and forgets those that are gone.
func (o *observations) count(namespace string, noncompliant int, ending bool, there []pod) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.of(namespace)
	s.noncompliant, s.ending = noncompliant, ending
	told := map[types.UID]bool{}
	for _, p := range there {
		if s.told[p.object.UID] {
			told[p.object.UID] = true
		}
	}
	s.told = told
}

func (o *observations) forget(namespace string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.seen, namespace)
}
