package lab

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
)

// Console is the guest's ttyS0: BIOS, GRUB, the kernel, then a shell of root's. All of it is kept, and appended to
// console.log.
type Console struct {
	conn   net.Conn
	log    *os.File
	closed chan struct{}

	mu   sync.Mutex
	text []byte
	seen int           // Expect's cursor
	more chan struct{} // closed and replaced when text grows
}

func newConsole(conn net.Conn, log, name string) (*Console, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(f, "\n=== boot of %s ===\n", name)
	c := &Console{conn: conn, log: f, closed: make(chan struct{}), more: make(chan struct{})}
	go c.read()
	return c, nil
}

func (c *Console) read() {
	defer close(c.closed)
	defer c.log.Close()
	defer c.conn.Close()
	b := make([]byte, 4096)
	for {
		n, err := c.conn.Read(b)
		_, _ = c.log.Write(b[:n])
		c.mu.Lock()
		c.text = append(c.text, b[:n]...)
		close(c.more)
		c.more = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Expect waits for pattern in what the console says after the previous Expect's match, and returns the match and its
// groups. It fails at once when the guest is gone without having said it.
func (c *Console) Expect(ctx context.Context, pattern string) ([]string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	for {
		over := false
		select {
		case <-c.closed:
			over = true
		default:
		}
		c.mu.Lock()
		more := c.more
		if m := re.FindSubmatchIndex(c.text[c.seen:]); m != nil {
			rest := c.text[c.seen:]
			var out []string
			for i := 0; i < len(m); i += 2 {
				if m[i] < 0 {
					out = append(out, "")
					continue
				}
				out = append(out, string(rest[m[i]:m[i+1]]))
			}
			c.seen += m[1]
			c.mu.Unlock()
			return out, nil
		}
		c.mu.Unlock()
		if over {
			return nil, fmt.Errorf("lab: console ended without %q; its end:\n%s", pattern, c.Tail(2000))
		}
		select {
		case <-more:
		case <-c.closed:
		case <-ctx.Done():
			return nil, fmt.Errorf("lab: console did not say %q: %w; its end:\n%s", pattern, ctx.Err(), c.Tail(2000))
		}
	}
}

// Type sends text as typed; a line ends in "\n".
func (c *Console) Type(text string) error {
	_, err := c.conn.Write([]byte(strings.ReplaceAll(text, "\n", "\r")))
	return err
}

// Text is all that the console has said so far.
func (c *Console) Text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text)
}

// Tail is at most the last n bytes of Text, from a line's start.
func (c *Console) Tail(n int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.text
	if len(b) > n {
		b = b[len(b)-n:]
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b = b[i+1:]
		}
	}
	return string(b)
}
