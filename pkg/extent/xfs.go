package extent

import (
	"fmt"
	"io"
)

func isXFS(head []byte) bool { return string(head[:4]) == "XFSB" }

func readXFS(io.ReaderAt, int64, []byte) (*Allocation, error) {
	return nil, fmt.Errorf("xfs: %w", ErrUnsupported)
}
