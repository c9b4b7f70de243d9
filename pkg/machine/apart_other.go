//go:build !linux

package machine

import (
	"errors"
	"fmt"
)

// Apart fails: mount namespaces are Linux's.
func Apart(func() error) error {
	return fmt.Errorf("mounts of its own: only on linux: %w", errors.ErrUnsupported)
}
