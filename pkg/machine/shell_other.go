//go:build !linux

package machine

import (
	"context"
	"errors"
)

// Shell is for Linux alone.
func (r *Real) Shell(context.Context, []string, string) error { return errors.ErrUnsupported }
