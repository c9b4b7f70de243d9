package pkg

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// planting is a room in which something made-up is planted: files of testdata/planted, and rows that are added to a table.
type planting struct {
	room  string
	files []string // their names in the room; testdata has them as ROOM_NAME.txt
	table string
	rows  [][2]string // a piece of the table, and what stands there afterwards
}

// plantings are a kind of layer, crate, and a filesystem type, grain.
func plantings() []planting {
	field := "	Swap *Swap `toml:\"swap,omitempty\" json:\"swap,omitempty\"`\n"
	kinds := [2]string{"swapKind()}", "swapKind(), crateKind()}"}
	return []planting{
		{"plan", []string{"kind_crate.go", "crate_test.go"}, "kind.go", [][2]string{{field, field + "	Crate *Crate `toml:\"crate,omitempty\" json:\"crate,omitempty\"`\n"}, kinds}},
		{"stage", []string{"kind_crate.go", "crate_test.go"}, "kind.go", [][2]string{kinds}},
		{"image", []string{"kind_crate.go", "crate_test.go"}, "kind.go", [][2]string{kinds}},
		{"sim", []string{"crate.go"}, "tool.go", [][2]string{{"\tcase \"update-initramfs\":\n", "\tcase \"cratectl\":\n\t\treturn m.cratectl(e, torn)\n\tcase \"update-initramfs\":\n"}}},
		{"../cmd/migrate-init", []string{"crate_test.go"}, "", nil},

		{"plan", []string{"fstype_grain.go", "grain_test.go"}, "fstype.go", [][2]string{{"\t\tFSType{Name: SwapType,", "\t\tgrainType(),\n\t\tFSType{Name: SwapType,"}}},
		{"probe", []string{"crate.go", "grain.go"}, "registry.go", [][2]string{{"\t\t{\"foreign\",", "\t\t{\"crate\", probeCrate},\n\t\t{\"grain\", probeGrain},\n\t\t{\"foreign\","}}},
		{"mkfs", []string{"grain.go"}, "mkfs.go", [][2]string{{"\tcase \"swap\":\n", "\tcase \"grain\":\n\t\treturn grain(s), nil\n\tcase \"swap\":\n"}}},
		{"survey", []string{"grain_test.go"}, "", nil},
		{"stage", []string{"grain_test.go"}, "", nil},
		{"image", []string{"grain_test.go"}, "", nil},
	}
}

// TestPlanted shows that a kind of layer costs one file and one row in each room that deals with it, and the commands
// nothing, and that a filesystem type costs one file and one row in pkg/plan and in the rooms that spell it: made-up ones
// are planted with the compiler's overlay, and the rooms' own tests of them run, with those of the tables.
func TestPlanted(t *testing.T) {
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	var tested []string
	tests := 0
	for _, x := range plantings() {
		at := filepath.Join(root, x.room)
		for _, name := range x.files {
			from := filepath.Join(root, "testdata", "planted", path.Base(x.room)+"_"+name+".txt")
			replace[filepath.Join(at, name)] = from
			if !strings.HasSuffix(name, "_test.go") {
				continue
			}
			b, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			tests += strings.Count(string(b), "\nfunc TestPlanted")
			if room := "./" + x.room; !slices.Contains(tested, room) {
				tested = append(tested, room)
			}
		}
		if x.table == "" {
			continue
		}
		table := filepath.Join(dir, path.Base(x.room)+"_"+x.table)
		if err := os.WriteFile(table, []byte(planted(t, x, filepath.Join(at, x.table))), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(at, x.table)] = table
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"test", "-count=1", "-vet=off", "-v", "-run", "^(TestPlanted(Crate|CrateMigration|Grain)|TestFSTypes|TestFSTypePrograms|TestSourceMountIsQuiet)$", "-overlay", overlay}
	out, err := exec.Command("go", append(args, tested...)...).CombinedOutput()
	if n := strings.Count(string(out), "--- PASS: TestPlanted"); err != nil || n != tests {
		t.Errorf("%d of %d tests of what is planted passed: %v\n%s", n, tests, err, out)
	}
}

// planted puts the rows into a table.
func planted(t *testing.T, x planting, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	table := string(b)
	for _, row := range x.rows {
		if strings.Count(table, row[0]) != 1 {
			t.Fatalf("%s: not one %q; tell this test where the row goes now", name, row[0])
		}
		table = strings.Replace(table, row[0], row[1], 1)
	}
	return table
}
