package pkg

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFailuresPage: the page that says which check finds what names only checks that exist, and every one that does.
func TestFailuresPage(t *testing.T) {
	page, err := os.ReadFile("../docs/failures.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?:\bID: |\brow\(|\{)"([a-z-]+\.[a-z-]+)", (?:When: )?(?:everywhere|always|live|Planning|Live|plan\.)`)
	id := regexp.MustCompile("`([a-z-]+\\.[a-z-]+)`")
	var checks []string
	for _, room := range []string{"plan", "stage", "loader", "distro"} {
		err := filepath.WalkDir(room, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			b, err := os.ReadFile(name)
			for _, m := range row.FindAllStringSubmatch(string(b), -1) {
				checks = append(checks, m[1])
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(checks) < 40 {
		t.Fatalf("only %d checks were found: the pattern does not fit the tables any more", len(checks))
	}
	var named []string
	for _, m := range id.FindAllStringSubmatch(string(page), -1) {
		named = append(named, m[1])
	}
	for _, c := range checks {
		if !slices.Contains(named, c) {
			t.Errorf("check %s: docs/failures.md does not say what it finds", c)
		}
	}
	for _, n := range named {
		if !slices.Contains(checks, n) && !slices.Contains([]string{"settings.rewrite", "tree.files"}, n) && filepath.Ext(n) != ".ko" {
			t.Errorf("docs/failures.md names %s, which is not a check", n)
		}
	}
}
