package extent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"migrate-init/pkg/fixtures"
)

// counted counts the bytes that are read from an image.
type counted struct {
	io.ReaderAt
	bytes int64
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.bytes += int64(len(p))
	return c.ReaderAt.ReadAt(p, off)
}

// judgedRead is checkRead with bounds: whatever the image contains, Read reads less than twice its size, and allocates little.
func judgedRead(t *testing.T, name string, im *fixtures.Image) (*Allocation, error) {
	t.Helper()
	const most = 16 << 20
	r := &counted{ReaderAt: im}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a, err := checkRead(t, r, im.Size)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > most || r.bytes > 2*im.Size {
		t.Errorf("%s: %d bytes: read %d and allocated %d", name, im.Size, r.bytes, n)
	}
	return a, err
}

// fsck returns the output of a read-only e2fsck of an image, with "@" for the path; false if it timed out.
func fsck(t *testing.T, path string, limit time.Duration) (string, bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, "e2fsck", "-fn", path)
	c.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	// It crashes on some of the images. Compare only that it crashes, not the addresses.
	said, _, _ := strings.Cut(strings.ReplaceAll(string(out), path, "@"), "\nSignal (")
	return fmt.Sprintf("%s\nexit %d", said, c.ProcessState.ExitCode()), ctx.Err() == nil
}

// TestJudgeE2fsck reads the test images of e2fsprogs, most of which are damaged or dirty. It copies the used blocks of those that
// Read accepts onto old data; e2fsck must report exactly the same errors for the copy as for the image.
func TestJudgeE2fsck(t *testing.T) {
	need(t, "e2fsck")
	copied, refused := 0, map[error]int{}
	for _, path := range fixtures.Glob(t, "e2fsprogs", "*_image.gz", 218) {
		t.Run(fixtures.Name(path), func(t *testing.T) {
			im := fixtures.Open(t, path, 0)
			_, err := judgedRead(t, fixtures.Name(path), im)
			for _, kind := range []error{ErrUnsupported, ErrDirty, ErrCorrupt} {
				if errors.Is(err, kind) {
					refused[kind]++
				}
			}
			if errors.Is(err, ErrCorrupt) {
				// It asks about every error, and on two of the images it never ends.
				if out, ended := fsck(t, im.File(t), 3*time.Second); ended && !regexp.MustCompile(`\? |corrupt|incorrect`).MatchString(out) {
					t.Errorf("%v, but e2fsck finds nothing:\n%s", err, out)
				}
			}
			if err != nil {
				return
			}
			source := im.File(t)
			target, _ := copyAndVerify(t, source)
			want, ended := fsck(t, source, time.Minute)
			if !ended {
				t.Fatalf("e2fsck has not ended in time:\n%s", start(want))
			}
			if got, _ := fsck(t, target, time.Minute); want != got {
				t.Errorf("e2fsck on the image:\n%s\nand on its copy:\n%s", start(want), start(got))
			}
			copied++
		})
	}
	t.Logf("%d images copied and judged by e2fsck; refused: %v", copied, refused)
	if copied < 130 || refused[ErrDirty] < 30 || refused[ErrCorrupt] < 30 {
		t.Errorf("%d images copied, refused %v: too few to judge by", copied, refused)
	}
}

func start(s string) string { return s[:min(len(s), 2000)] }
