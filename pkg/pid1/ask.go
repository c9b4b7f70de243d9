package pid1

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// askFor is how long a passphrase is waited for. A machine on which no one answers goes back to the old system.
const askFor = 10 * time.Minute

// ask asks for a passphrase on every console at once, and takes the first answer.
func (p *Init) ask(ctx context.Context, prompt string) ([]byte, error) {
	ctx, done := context.WithTimeout(ctx, askFor)
	defer done()
	line, err := p.Secret(ctx, func() { p.Consoles.Prompt(prompt) })
	p.Consoles.EndLine()
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("no one entered a passphrase within %s", askFor)
	}
	return line, err
}
