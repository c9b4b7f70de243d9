package copy

import (
	"testing"

	"migrate-init/pkg/testns"
)

func TestMain(m *testing.M) { testns.Run(m) }
