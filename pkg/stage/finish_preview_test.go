package stage

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/machine"
)

// What a dry run of finish prints is what finish then does, in that order: every effect but the journal's records, and
// of what depends on new members a line for each.
func TestPreviewFinish(t *testing.T) {
	real, p, text := migrated(t)
	w := real.clone(t)
	if err := w.bootNew(p); err != nil {
		t.Fatal(err)
	}
	before := w.content()
	var printed bytes.Buffer
	e := w.env(p, text)
	e.Machine = machine.Printer{W: &printed}
	if err := PreviewFinish(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	if w.content() != before {
		t.Error("the preview changed the world")
	}
	lines := strings.Split(printed.String(), "\n")
	for _, n := range p.Target.Arrays {
		for _, r := range n.Later {
			if want := "add the new member " + string(r) + " to array " + n.Name; !strings.Contains(printed.String(), want) {
				t.Errorf("not printed: %s", want)
			}
		}
	}
	if err := real.finishRun(p, text, fault{}, false); err != nil {
		t.Fatal(err)
	}
	for _, l := range real.log {
		does, _, _ := strings.Cut(l, "  => ")
		if strings.HasPrefix(does, "write journal record") || strings.HasPrefix(does, "ioctl ADD_NEW_DISK") || strings.HasPrefix(does, "write md superblock of a new member") {
			continue
		}
		at := slices.Index(lines, does)
		if at < 0 {
			t.Errorf("done, and not printed in its place: %s\nleft of the preview:\n%s", does, strings.Join(lines, "\n"))
			break
		}
		lines = lines[at+1:]
	}
}
