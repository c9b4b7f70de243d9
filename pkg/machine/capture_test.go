package machine

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestTailKeepsTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []byte
		var kept tail
		for i, n := range rapid.SliceOfN(rapid.IntRange(0, 3*keepOutput), 0, 8).Draw(t, "writes") {
			p := bytes.Repeat([]byte{byte('a' + i)}, n)
			all = append(all, p...)
			if got, err := kept.Write(p); got != n || err != nil {
				t.Fatal(got, err)
			}
		}
		if want := all[max(0, len(all)-keepOutput):]; !bytes.Equal(kept.bytes(), want) {
			t.Fatalf("kept %d bytes, want %d", len(kept.bytes()), len(want))
		}
		if cap(kept.buf) > 4*keepOutput {
			t.Fatalf("holds %d bytes", cap(kept.buf))
		}
	})
}

func TestLineWriterSplitsHoweverItComes(t *testing.T) {
	text := "one\ntwo\rthree\r\n\n" + strings.Repeat("x", maxLine+3) + "\nend"
	want := []string{"one", "two", "three", strings.Repeat("x", maxLine), "xxx", "end"}
	for _, step := range []int{1, 2, 7, maxLine, len(text)} {
		var got []string
		w := lineWriter{mu: new(sync.Mutex), f: func(s string) { got = append(got, s) }}
		for p := range slices.Chunk([]byte(text), step) {
			if n, err := w.Write(p); n != len(p) || err != nil {
				t.Fatal(n, err)
			}
		}
		w.flush()
		if !slices.Equal(got, want) {
			t.Errorf("in steps of %d: %d lines, want %d: %.80q", step, len(got), len(want), got)
		}
	}
}
