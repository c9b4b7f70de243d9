//go:build !linux

package machine

import (
	"errors"
	"fmt"
)

// InMountNamespace fails: only Linux has mount namespaces.
func InMountNamespace(func() error) error {
	return fmt.Errorf("mount namespace: only on linux: %w", errors.ErrUnsupported)
}
