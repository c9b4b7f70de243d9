package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// KeyFile is where an image has the key file of an encrypted container.
func KeyFile(uuid string) string { return "/etc/migrate-init/keys/" + uuid }

// passphraseTries is how often a passphrase may be wrong.
const passphraseTries = 3

// luksKind: a container is opened by the host's cryptsetup, which knows every key derivation and every token.
func luksKind() kind {
	return kind{
		is: func(n *plan.Node) bool { return n.LUKS != nil },
		idle: func(e *Env, n *plan.Node) bool {
			c, err := e.Facts.Crypt(n.Ref.ID())
			return err == nil && c.Node == ""
		},
		start: func(ctx context.Context, e *Env, n *plan.Node) error { return e.openCrypt(ctx, n) },
		stop:  func(ctx context.Context, e *Env, dev string) error { return e.unmap(ctx, dev) },
	}
}

// openCrypt opens a container with its key file, or with a passphrase from the consoles. Passphrases that opened another
// one are tried first.
func (e *Env) openCrypt(ctx context.Context, n *plan.Node) error {
	noun := "encrypted container " + n.Ref.ID()
	c, err := e.Facts.Crypt(n.Ref.ID())
	if err != nil {
		return err
	}
	dev := e.Facts.Dev(c.Device)
	if dev == nil {
		return fmt.Errorf("%s: its device /dev/%s is not here", noun, c.Device)
	}
	known := dev.Path
	if dev.Over != "" {
		known = "/dev/" + dev.Over // what people know it as
	}
	noun += " on " + known
	if c.Unusual != "" {
		return fmt.Errorf("%s: %s", noun, c.Unusual)
	}
	if err := e.Load(ctx, "dm_crypt"); err != nil {
		return fmt.Errorf("%s: %w", noun, err)
	}
	for _, m := range n.LUKS.Modules {
		_ = e.Load(ctx, m) // it may be built in, or have another name; cryptsetup says what it misses
	}
	if n.LUKS.KeyFile != "" {
		key, err := fs.ReadFile(e.Root, strings.TrimPrefix(KeyFile(n.Ref.ID()), "/"))
		if err != nil {
			return fmt.Errorf("%s: key file: %w", noun, err)
		}
		return e.openWith(ctx, n, dev.Path, key)
	}
	for _, p := range e.passphrases {
		if err := e.openWith(ctx, n, dev.Path, p); !wrongKey(err) {
			return err
		}
	}
	if e.Ask == nil {
		return fmt.Errorf("%s: no console to ask for its passphrase", noun)
	}
	for try := 1; ; try++ {
		p, err := e.Ask(ctx, fmt.Sprintf("Passphrase for %s (%s)", known, n.LUKS.Name))
		if err != nil {
			return fmt.Errorf("%s: %w", noun, err)
		}
		err = e.openWith(ctx, n, dev.Path, p)
		switch {
		case err == nil:
			e.passphrases = append(e.passphrases, p)
			return nil
		case !wrongKey(err):
			return err
		case try == passphraseTries:
			return fmt.Errorf("%s: the passphrase was wrong %d times", noun, passphraseTries)
		}
		e.tell("reveal", "%s: no key slot opens with that passphrase", noun)
	}
}

// noKey is the exit code of cryptsetup when no key slot opens (cryptsetup(8)).
const noKey = 2

func wrongKey(err error) bool {
	var exit *machine.ExecError
	return errors.As(err, &exit) && exit.Code == noKey
}

// cryptEnv keeps libdevmapper from waiting for a udev that is not there: it makes the nodes by itself.
func cryptEnv() []string { return append(machine.DefaultEnv(), "DM_DISABLE_UDEV=1") }

// openWith opens a container with a key, which goes through a pipe and into no log.
func (e *Env) openWith(ctx context.Context, n *plan.Node, dev string, key []byte) error {
	if err := e.do(ctx, machine.Mkdir{Path: "/run/cryptsetup", Mode: 0o700}); err != nil { // it keeps locks there
		return err
	}
	e.started = append(e.started, started{what: n.LUKS.Path(), there: func(e *Env, dev string) bool { return e.Facts.Dev(dev) != nil }, stop: luksKind().stop})
	argv := []string{"cryptsetup", "open", "--type", "luks", "--key-file", "-", dev, n.LUKS.Name}
	if err := e.do(ctx, machine.Exec{Argv: argv, Env: cryptEnv(), Stdin: key, Alters: []string{dev}}); err != nil {
		return err
	}
	return e.awaitNode(ctx, n)
}
