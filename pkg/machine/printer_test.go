package machine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPrinterShowsChangesAndMakesNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var out bytes.Buffer
	effects := []Effect{
		WriteFile{Path: "/etc/fstab", Old: []byte("a\nb\n"), Data: []byte("a\nc\n")},
		WriteFile{Path: "/etc/new", Data: []byte("x\n"), Mode: 0o600},
		WriteFile{Path: "/etc/same", Old: []byte("x\n"), Data: []byte("x\n")},
		WriteFile{Path: "/etc/bin", Old: []byte("text"), Data: bytes.Repeat([]byte{0, 255}, 40)},
		WriteDevice{"/dev/sdb", "boot sector", []Chunk{{Data: []byte{0xeb, 0x63}}, {Offset: 512, Zero: 512}}},
		Mkdir{path, 0o755},
	}
	for _, e := range effects {
		if _, err := (Printer{&out}).Do(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	want := strings.ReplaceAll(`rewrite file /etc/fstab (4 bytes; was 4)
diff /etc/fstab /etc/fstab
--- /etc/fstab
+++ /etc/fstab
@@ -1,2 +1,2 @@
 a
-b
+c
write file /etc/new (new; 2 bytes; mode 0600)
diff /dev/null /etc/new
--- /dev/null
+++ /etc/new
@@ -0,0 +1,1 @@
+x
rewrite file /etc/same (2 bytes; was 2)
  (unchanged)
rewrite file /etc/bin (80 bytes; was 4)
  old 4 bytes: 74657874
  new 80 bytes: 00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff...
write boot sector to /dev/sdb: 2 bytes at 0, 512 zero bytes at 512
  at 0, 2 bytes: eb63
make directory PATH (mode 0755)
`, "PATH", path)
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a dry run made %s: %v", path, err)
	}
}

func TestPrinterReportsItsWriter(t *testing.T) {
	_, err := Printer{failing{}}.Do(t.Context(), Sync{"/"})
	if !errors.Is(err, errTest) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Printer{failing{}}).Do(ctx, Sync{"/"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

var errTest = errors.New("test error")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errTest }

func TestHookedBeforeKeepsTheEffectFromHappening(t *testing.T) {
	var out bytes.Buffer
	h := Hooked{M: Printer{&out}, Before: func(_ context.Context, e Effect) error {
		if e == (Remove{"/b"}) {
			return errTest
		}
		return nil
	}}
	if _, err := h.Do(t.Context(), Remove{"/a"}); err != nil {
		t.Error(err)
	}
	if _, err := h.Do(t.Context(), Remove{"/b"}); err != errTest {
		t.Errorf("got %v", err)
	}
	if out.String() != "remove /a\n" {
		t.Errorf("printed %q", out.String())
	}
}

func TestHookedAfterSeesTheOutcomeAndDecides(t *testing.T) {
	var seen error
	h := Hooked{M: Printer{failing{}}, After: func(_ context.Context, _ Effect, _ Output, err error) error {
		seen = err
		return nil
	}}
	if _, err := h.Do(t.Context(), Remove{"/a"}); err != nil || !errors.Is(seen, errTest) {
		t.Errorf("returned %v, hook saw %v", err, seen)
	}
}
