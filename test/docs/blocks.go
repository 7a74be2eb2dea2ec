package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Block is a fenced code block of a page.
type Block struct {
	Page string // path from the top of the repository
	Line int    // of the first line in it
	// Info is what stands behind the fence: the language, and what else tells how to read it.
	//
	//	yaml          objects of Kubernetes, which a cluster with the operator accepts in the order of the page
	//	yaml values   for the Helm chart
	//	yaml part     a part of an object that the page has shown before
	Info string
	Text string
}

func (b Block) String() string { return fmt.Sprintf("%s:%d", b.Page, b.Line) }

// Blocks are those of the README and of docs/, in the order in which they stand there.
func Blocks(root string) ([]Block, error) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		return nil, err
	}
	var all []Block
	for _, page := range append([]string{filepath.Join(root, "README.md")}, pages...) {
		text, err := os.ReadFile(page)
		if err != nil {
			return nil, err
		}
		name, err := filepath.Rel(root, page)
		if err != nil {
			return nil, err
		}
		blocks, err := blocksOf(name, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, blocks...)
	}
	return all, nil
}

func blocksOf(page, text string) (blocks []Block, err error) {
	var open *Block
	for i, line := range strings.SplitAfter(text, "\n") {
		switch info, fence := strings.CutPrefix(strings.TrimSpace(line), "```"); {
		case fence && !strings.HasPrefix(line, "```"):
			return nil, fmt.Errorf("%s:%d: a fence begins at the margin, or nobody finds what is behind it", page, i+1)
		case fence && open == nil:
			open = &Block{Page: page, Line: i + 2, Info: info}
		case fence && info != "":
			return nil, fmt.Errorf("%s:%d: a block begins within another", page, i+1)
		case fence:
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.Text += line
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%s has no end", open)
	}
	return blocks, nil
}
