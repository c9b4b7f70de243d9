package machine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"
)

// Printer is the Machine of a dry run: it prints the line of every effect to W and does nothing else. For a WriteFile it also
// prints the unified diff of Old and Data. For binary data it prints the size and the first bytes.
type Printer struct{ W io.Writer }

// Do prints the effect.
func (p Printer) Do(ctx context.Context, e Effect) (Output, error) {
	if err := ctx.Err(); err != nil {
		return Output{}, err
	}
	text := e.String() + "\n"
	switch e := e.(type) {
	case WriteFile:
		text += change(e.Path, e.Old, e.Data)
	case WriteInPlace:
		text += "  " + hexHead(e.Data) + "\n"
	case WriteDevice:
		for _, c := range e.Chunks {
			if c.Data != nil {
				text += fmt.Sprintf("  at %d, %s\n", c.Offset, hexHead(c.Data))
			}
		}
	}
	if _, err := io.WriteString(p.W, text); err != nil {
		return Output{}, fmt.Errorf("dry run: %w", err)
	}
	return Output{}, nil
}

func change(path string, before, after []byte) string {
	if !isText(before) || !isText(after) {
		if before == nil {
			return "  new " + hexHead(after) + "\n"
		}
		return "  old " + hexHead(before) + "\n  new " + hexHead(after) + "\n"
	}
	if before != nil && bytes.Equal(before, after) {
		return "  (unchanged)\n"
	}
	from := path
	if before == nil {
		from = "/dev/null"
	}
	return string(diff.Diff(from, before, path, after))
}

func isText(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsRune(b, 0)
}

// Hooked calls Before and After around every effect of M: for a log, a journal or a crash point. Either may be nil. If Before
// returns an error, the effect is not carried out, and Do returns that error. After gets the outcome; Do returns its result.
type Hooked struct {
	M      Machine
	Before func(context.Context, Effect) error
	After  func(context.Context, Effect, Output, error) error
}

// Do carries out the effect between its hooks.
func (h Hooked) Do(ctx context.Context, e Effect) (Output, error) {
	if h.Before != nil {
		if err := h.Before(ctx, e); err != nil {
			return Output{}, err
		}
	}
	out, err := h.M.Do(ctx, e)
	if h.After != nil {
		err = h.After(ctx, e, out, err)
	}
	return out, err
}
