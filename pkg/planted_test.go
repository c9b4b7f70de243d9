package pkg

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// planting is a room in which a made-up layer is planted: the file of its table, with the rows that are added to it.
type planting struct {
	room string
	rows map[string]string // a line of kind.go, and the line that is put after it
}

func plantings() []planting {
	return []planting{
		{"plan", map[string]string{
			"	Swap *Swap `toml:\"swap,omitempty\" json:\"swap,omitempty\"`":          "	Crate *Crate `toml:\"crate,omitempty\" json:\"crate,omitempty\"`",
			"	return []kind{diskKind(), partKind(), mdKind(), fsKind(), swapKind()}": "",
		}},
		{"stage", map[string]string{"	return []kind{diskKind(), mdKind(), fsKind(), swapKind()}": ""}},
		{"image", map[string]string{"	return []kind{mdKind(), fsKind(), swapKind()}": ""}},
	}
}

// TestPlantedLayer shows that a kind of layer costs one file and one row in each room: a made-up one is planted with the
// compiler's overlay, and the rooms' own tests of it run.
func TestPlantedLayer(t *testing.T) {
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	args := []string{"test", "-count=1", "-run", "^TestPlantedCrate$"}
	for _, x := range plantings() {
		at := filepath.Join(root, x.room)
		for from, to := range map[string]string{"kind_crate.go": "_kind_crate.go.txt", "kind_crate_test.go": "_crate_test.go.txt"} {
			replace[filepath.Join(at, from)] = filepath.Join(root, "testdata", "planted", x.room+to)
		}
		b, err := os.ReadFile(filepath.Join(at, "kind.go"))
		if err != nil {
			t.Fatal(err)
		}
		table := filepath.Join(dir, x.room+".go")
		if err := os.WriteFile(table, []byte(planted(t, x, string(b))), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(at, "kind.go")] = table
		args = append(args, "./"+x.room)
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", append(args, "-overlay", overlay)...)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "ok  \t") != len(plantings()) || strings.Contains(string(out), "no tests to run") {
		t.Errorf("%v\n%s", err, out)
	}
}

// planted puts the rows into a table: a list of rows gets one more, anything else a line after it.
func planted(t *testing.T, x planting, table string) string {
	t.Helper()
	for line, row := range x.rows {
		if strings.Count(table, line+"\n") != 1 {
			t.Fatalf("%s/kind.go: not one line %q; tell this test where the row goes now", x.room, line)
		}
		with := line + "\n" + row
		if row == "" {
			with = strings.TrimSuffix(line, "}") + ", crateKind()}"
		}
		table = strings.Replace(table, line+"\n", with+"\n", 1)
	}
	return table
}
