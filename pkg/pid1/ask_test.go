package pid1

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestAsk(t *testing.T) {
	r := newRig("")
	r.Listen()
	r.Secret = func(_ context.Context, ready func()) ([]byte, error) {
		ready()
		return []byte("open sesame"), nil
	}
	got, err := r.ask(t.Context(), "Passphrase for /dev/vda3")
	if err != nil || string(got) != "open sesame" || r.said.String() != "migrate-init: Passphrase for /dev/vda3: \r\n" {
		t.Errorf("%q, %v, said %q", got, err, r.said)
	}
	if strings.Contains(r.kmsg.String()+r.said.String()+strings.Join(r.Consoles.Said(), ""), "sesame") {
		t.Error("the passphrase is in a log")
	}
	r.Secret = func(context.Context, func()) ([]byte, error) { return nil, context.DeadlineExceeded }
	if _, err := r.ask(t.Context(), "Passphrase"); err == nil || !strings.Contains(err.Error(), "no one entered a passphrase within 10m") {
		t.Errorf("no answer: %v", err)
	}
	gone := errors.New("no terminal can be read")
	r.Secret = func(context.Context, func()) ([]byte, error) { return nil, gone }
	if _, err := r.ask(t.Context(), "Passphrase"); !errors.Is(err, gone) {
		t.Errorf("no terminal: %v", err)
	}
}
