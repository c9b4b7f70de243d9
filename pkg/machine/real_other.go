//go:build !linux

package machine

import (
	"context"
	"errors"
	"fmt"
)

// Do fails: effects need Linux.
func (r *Real) Do(_ context.Context, e Effect) (Output, error) {
	return Output{}, fmt.Errorf("%s: only on linux: %w", e, errors.ErrUnsupported)
}

// Reap fails: only PID 1 on Linux needs it.
func (r *Real) Reap(context.Context) error {
	return fmt.Errorf("reap: only on linux: %w", errors.ErrUnsupported)
}
