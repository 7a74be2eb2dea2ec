package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Whoever reads a reason finds what it means and what to do.
func TestEveryReasonIsExplained(t *testing.T) {
	page := troubleshooting(t)
	reasons := 0
	for reason, value := range constants(t) {
		if !strings.HasPrefix(value.Names[0].Name, "Reason") {
			continue
		}
		reasons++
		if !strings.Contains(page, "`"+reason+"`") {
			t.Errorf("docs/troubleshooting.md does not explain %s", reason)
		}
	}
	if reasons < 80 {
		t.Fatalf("only %d reasons", reasons)
	}
}

// Events have no constants in the API: they are what the recorders are given.
func TestEveryEventIsExplained(t *testing.T) {
	page := troubleshooting(t)
	events := 0
	for _, match := range regexp.MustCompile(`(?m)reason\w+ += "(\w+)"`).FindAllStringSubmatch(sources(t, ".go", "controllers"), -1) {
		if match[1] == "RuleInstalled" { // which is normal
			continue
		}
		events++
		if !strings.Contains(page, "| `"+match[1]+"` |") {
			t.Errorf("docs/troubleshooting.md has no row for the event %s", match[1])
		}
	}
	if events < 5 {
		t.Fatalf("only %d events", events)
	}
}

// A message that is quoted is one that somebody may get.
func TestQuotedMessagesAreSaid(t *testing.T) {
	said := strings.Join(strings.Fields(sources(t, ".yaml", "config/admission")+sources(t, ".go", "internal/webhook", "internal/entrustment")), " ")
	said = regexp.MustCompile(`'\s*\+\s*'`).ReplaceAllString(said, "")
	const ofKubernetes = "no params found"
	quoted := 0
	for _, row := range regexp.MustCompile(`(?m)^\| "[^|]*\|`).FindAllString(troubleshooting(t), -1) {
		for _, message := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(row, -1) {
			quoted++
			if message[1] != ofKubernetes && !strings.Contains(said, message[1]) {
				t.Errorf("nobody says %q", message[1])
			}
		}
	}
	if quoted < 10 {
		t.Fatalf("only %d messages", quoted)
	}
}

// Links lead to pages, and to headings of theirs.
func TestLinksLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob(root + "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, page := range append(pages, root+"README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
			target, anchor, _ := strings.Cut(link[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			links++
			to := page
			if target != "" {
				to = filepath.Join(filepath.Dir(page), target)
			}
			content, err := os.ReadFile(to)
			if info, is := os.Stat(to); is == nil && info.IsDir() && anchor == "" {
				continue
			} else if err != nil {
				t.Errorf("%s links to %s, which is not there", page, link[1])
				continue
			}
			if anchor != "" && !anchors(string(content))[anchor] {
				t.Errorf("%s links to %s, and there is no such heading", page, link[1])
			}
		}
	}
	if links < 40 {
		t.Fatalf("only %d links", links)
	}
}

// code is no text: what looks like a link in it is none.
var code = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")

// anchors are the names that a code host gives to the headings of a page.
func anchors(page string) map[string]bool {
	all := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		all[strings.ReplaceAll(name, " ", "-")] = true
	}
	return all
}

func troubleshooting(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(root + "docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// sources are all files of directories that are no tests.
func sources(t *testing.T, ending string, dirs ...string) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range dirs {
		err := filepath.WalkDir(root+dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ending) || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}
