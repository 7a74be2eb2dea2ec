package oracle

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"

	"entrustment.dev/operator/api/v1alpha1"
)

// Statuses say what the decisions do.
func TestStatusesFollowTheDecisions(t *testing.T) {
	t.Run("purposes", func(t *testing.T) { hold(t, 1.0/8, purposeStatusesDiffer) })
	t.Run("stores", func(t *testing.T) { hold(t, 1.0/8, storeStatusesDiffer) })
	t.Run("entrustments", func(t *testing.T) { hold(t, 1.0/8, entrustmentStatusesDiffer) })
}

func purposeStatusesDiffer(w World) string {
	s, p := compile(w), plain{w.Inputs, w.Now}
	for _, purpose := range w.Purposes {
		status, ok := s.PurposeStatus(purpose.Name)
		if !ok {
			return "no status of Purpose " + purpose.Name
		}
		l := p.line(purpose.Name)
		ready := l != nil && p.processor(purpose.Spec.ControllerName) != nil
		if got := meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady); got && !ready {
			return fmt.Sprintf("Purpose %s is ready and unknown", purpose.Name)
		}
		if l == nil {
			continue
		}
		var path []string
		for _, tier := range l {
			path = slices.Insert(path, 0, tier.Name)
		}
		if diff := cmp.Diff(path, status.Path); diff != "" {
			return fmt.Sprintf("path of Purpose %s: %s", purpose.Name, diff)
		}
		if got := status.EffectiveDisposition == v1alpha1.DispositionProhibited; got != slices.ContainsFunc(l, prohibited) {
			return fmt.Sprintf("Purpose %s is prohibited: %v", purpose.Name, got)
		}
	}
	return ""
}

// The purposes that a store's status lists are those that its controller may declare, were the store not suspended.
func storeStatusesDiffer(w World) string {
	for _, store := range w.Stores {
		open := w.Clone()
		(plain{in: open.Inputs}).store(store.Namespace, store.Name).Spec.Suspended = false
		var want []string
		for _, name := range w.purposes() {
			p := plain{open.Inputs, w.Now}
			l := p.line(name)
			if l == nil || slices.ContainsFunc(l, prohibited) || slices.ContainsFunc(l, func(purpose *v1alpha1.Purpose) bool {
				return purpose.Spec.NotBefore != nil && w.Now.Before(purpose.Spec.NotBefore.Time) ||
					purpose.Spec.NotAfter != nil && !w.Now.Before(purpose.Spec.NotAfter.Time)
			}) {
				continue
			}
			if p.intended(l, store) == "" {
				want = append(want, name)
			}
		}
		status, ok := compile(w).StoreStatus(key(store))
		if !ok {
			return "no status of PersonalDataStore " + key(store).String()
		}
		if diff := cmp.Diff(want, status.EffectivePurposes, equateEmpty); diff != "" {
			return fmt.Sprintf("effective purposes of PersonalDataStore %s (-decided +status):\n%s", key(store), diff)
		}
	}
	return ""
}

// What is granted under an Entrustment, its conditions do not deny.
func entrustmentStatusesDiffer(w World) string {
	s := compile(w)
	for _, e := range w.Entrustments {
		status, ok := s.EntrustmentStatus(e.Name)
		if !ok {
			return "no status of Entrustment " + e.Name
		}
		var chain []string
		for _, tier := range (plain{in: w.Inputs}).chain(e.Name) {
			chain = append(chain, tier.Name)
		}
		if diff := cmp.Diff(chain, status.Chain, equateEmpty); diff != "" && chain != nil {
			return fmt.Sprintf("chain of Entrustment %s: %s", e.Name, diff)
		}
		if len(extent(w, s, e.Spec.EntrusteeName, e.Name)) == 0 {
			continue
		}
		for _, condition := range []string{
			v1alpha1.ConditionAuthorized, v1alpha1.ConditionActive, v1alpha1.ConditionTransferBasisPresent,
		} {
			if c := meta.FindStatusCondition(status.Conditions, condition); c == nil || c.Status != "True" {
				return fmt.Sprintf("uses are granted under Entrustment %s, whose condition %s is %+v", e.Name, condition, c)
			}
		}
	}
	return ""
}
