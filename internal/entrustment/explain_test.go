package entrustment_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

// Whoever mistypes a name, or a label too many, is told what would do.
func TestMessagesNameTheNearestFix(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	s := entrustment.Compile(entrustment.Inputs{
		Purposes: []*v1alpha1.Purpose{
			builder.Purpose("delivery").Obj(), builder.Purpose("deliveries").Obj(), builder.Purpose("ad").Obj(),
		},
		Processors: []*v1alpha1.DataProcessor{
			builder.Processor(builder.Controller).Namespace("own").Obj(), builder.Processor("courier").Namespace("courier").Obj(),
		},
		Entrustments: []*v1alpha1.Entrustment{
			builder.Entrustment("by-courier").To("courier").Purposes("delivery").Stores("data/orders").NotAfter(now.AddDate(1, 0, 0)).Obj(),
			builder.Entrustment("over").To("courier").Purposes("delivery").Stores("data/orders").NotAfter(now).Obj(),
		},
		Stores: []*v1alpha1.PersonalDataStore{builder.Store("data", "orders").AllowedPurposes("delivery").Recipients(v1alpha1.RecipientEntrustee).Obj()},
	}, now)
	orders := types.NamespacedName{Namespace: "data", Name: "orders"}
	for name, test := range map[string]struct {
		ask  entrustment.Request
		want string
	}{
		"a letter is missing":    {entrustment.Request{Namespace: "own", Purpose: "delivry", Store: orders}, `there is no Purpose "delivry"; did you mean "delivery"?`},
		"two are exchanged":      {entrustment.Request{Namespace: "own", Purpose: "delievries", Store: orders}, `there is no Purpose "delievries"; did you mean "deliveries"?`},
		"a capital":              {entrustment.Request{Namespace: "own", Purpose: "Delivery", Store: orders}, `there is no Purpose "Delivery"; did you mean "delivery"?`},
		"another word":           {entrustment.Request{Namespace: "own", Purpose: "deliver-to-all", Store: orders}, `there is no Purpose "deliver-to-all"; declare one that is published (kubectl get purposes)`},
		"too short to tell":      {entrustment.Request{Namespace: "own", Purpose: "ab", Store: orders}, `there is no Purpose "ab"; declare one that is published (kubectl get purposes)`},
		"letters of other lands": {entrustment.Request{Namespace: "own", Purpose: "配達", Store: orders}, `there is no Purpose "配達"; declare one that is published (kubectl get purposes)`},
		"a store":                {entrustment.Request{Namespace: "own", Purpose: "delivery", Store: types.NamespacedName{Namespace: "data", Name: "order"}}, `there is no PersonalDataStore "data/order"; did you mean "data/orders"?`},
		"no such store":          {entrustment.Request{Namespace: "own", Purpose: "delivery", Store: types.NamespacedName{Namespace: "x", Name: "y"}}, `there is no PersonalDataStore "x/y"; correct the name, or create it`},
		"a contract": {
			entrustment.Request{Namespace: "courier", Purpose: "delivery", Entrustment: "by-currier", Store: orders},
			`there is no Entrustment "by-currier"; set the label entrustment.dev/entrustment to "by-courier"`,
		},
		"a contract that the data controller does not need": {
			entrustment.Request{Namespace: "own", Purpose: "delivery", Entrustment: "by-courier", Store: orders},
			`Entrustment "by-courier" entrusts "courier", but namespace "own" is bound to "` + builder.Controller + `"; remove the label entrustment.dev/entrustment: "` + builder.Controller + `" handles its own data without a contract`,
		},
		"a contract that would not help": {
			entrustment.Request{Namespace: "courier", Purpose: "ad", Entrustment: "by-currier", Store: orders},
			`there is no Entrustment "by-currier"; the data controller has to entrust "courier" first`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := s.Authorize(test.ask); d.Allowed() || d.Message() != test.want {
				t.Errorf("want %s\n got %s", test.want, d.Message())
			}
		})
	}
}
