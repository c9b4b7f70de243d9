//go:build !linux

package machine

import (
	"context"
	"errors"
)

// ReadSecret reads a line from a terminal. It is only implemented for Linux.
func ReadSecret(context.Context, []string, func()) ([]byte, error) {
	return nil, errors.ErrUnsupported
}
