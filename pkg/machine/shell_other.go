//go:build !linux

package machine

import (
	"context"
	"errors"
)

// Shell fails: only on Linux.
func (r *Real) Shell(context.Context, []string, string) error { return errors.ErrUnsupported }
