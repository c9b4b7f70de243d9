package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"migrate-init/pkg/elf"
	"migrate-init/pkg/plan"
)

// Init is what switch_root starts in the new system.
const Init = "/sbin/init"

// init shows that switch_root's execve will succeed: the program, through links that may be absolute, executable, with the
// interpreter that it names. A library that is not found where ld.so(8) looks by default is told: an init may have its own ways.
func (pr *prover) init() plan.Findings {
	if err := pr.starts(); err != nil {
		return fault("init", "install the package of the init system, so that "+Init+" is there", err)
	}
	return nil
}

func (pr *prover) starts() error {
	root, ok := pr.root.(fs.ReadLinkFS)
	if !ok {
		return errors.New("new system: its symbolic links cannot be read")
	}
	files, err := elf.Closure(root, []string{Init}, nil)
	var missing *elf.MissingError
	switch {
	case errors.As(err, &missing):
		pr.say(err.Error())
	case err != nil:
		return fmt.Errorf("init: %w", err)
	}
	at, err := throughLinks(pr.root, Init)
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	st, err := fs.Stat(pr.root, strings.TrimPrefix(at, "/"))
	switch {
	case err != nil:
		return fmt.Errorf("init %s: %w", Init, err)
	case !st.Mode().IsRegular():
		return fmt.Errorf("init %s: %s is not a regular file but %v", Init, at, st.Mode().Type())
	case st.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("init %s: %s is not executable (mode %04o)", Init, at, st.Mode().Perm())
	}
	if missing == nil {
		pr.say(fmt.Sprintf("init %s: %s, with %d files that it needs", Init, at, len(files)-1))
	}
	return nil
}
