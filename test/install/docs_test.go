package install

import (
	"regexp"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/yaml"

	"entrustment.dev/operator/test/docs"
)

// The values that the documentation shows are values that there are: the chart's schema refuses all others.
func TestDocumentedValuesExist(t *testing.T) {
	blocks, err := docs.Blocks("../..")
	if err != nil {
		t.Fatal(err)
	}
	shown, given := 0, 0
	for _, block := range blocks {
		overrides := values{}
		if block.Info == "yaml values" {
			shown++
			if err := yaml.UnmarshalStrict([]byte(block.Text), &overrides); err != nil {
				t.Errorf("%s: %v", block, err)
			}
		}
		for _, set := range regexp.MustCompile(`--set (\S+)`).FindAllStringSubmatch(block.Text, -1) {
			given++
			if err := strvals.ParseInto(strings.Trim(set[1], "'"), overrides); err != nil {
				t.Errorf("%s: %s: %v", block, set[0], err)
			}
		}
		if len(overrides) == 0 {
			continue
		}
		if _, err := render(name, namespace, overrides); err != nil {
			t.Errorf("%s: %v", block, err)
		}
	}
	if shown == 0 || given == 0 {
		t.Errorf("%d blocks of values, %d values in commands", shown, given)
	}
}
