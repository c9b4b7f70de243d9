package loader

import (
	"errors"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// grubMakeScript prints the menu that update-grub would write. os-prober is hidden from it, by a mount that no one else sees:
// it mounts the filesystems of other partitions, and the new system's menu is made without it.
const grubMakeScript = `if p=$(command -v os-prober); then mount --bind /dev/null "$p" || exit 1; fi; exec grub-mkconfig`

// grubMake runs GRUB's own programs over the settings, and lets GRUB judge what comes out.
func grubMake(in plan.Installed) ([]byte, plan.Findings) {
	const id = "boot-menu.made"
	b, err := in.Run(nil, "unshare", "--mount", "--propagation", "private", "sh", "-c", grubMakeScript)
	if err != nil {
		x := plan.Refusal("grub-mkconfig", "correct /etc/default/grub, or the script of /etc/grub.d that fails, until `update-grub` succeeds", "it fails, and so would the migration: %s", grubWords(err))
		x.ID = id
		return nil, plan.Findings{x}
	}
	if _, err := in.Run(b, "grub-script-check"); err != nil {
		x := plan.Refusal("grub-mkconfig", "correct what /etc/default/grub or a script of /etc/grub.d writes there, until `update-grub` succeeds", "GRUB cannot read the menu that it makes: %s", grubWords(err))
		x.ID = id
		return nil, plan.Findings{x}
	}
	return b, nil
}

// grubWords are a failed program's own.
func grubWords(err error) string {
	var failed *machine.ExecError
	if errors.As(err, &failed) {
		short := *failed
		short.Argv = nil
		return short.Error()
	}
	return err.Error()
}
