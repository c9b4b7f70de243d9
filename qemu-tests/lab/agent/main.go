// Command agent is the lab's hand inside a guest: it does what package wire's requests say, over the virtio serial port
// named wire.Port. As a service it runs on a Debian root; as /init it is the whole user space of the small guest, where it
// first loads the modules listed in /lab/modules. It is a test aid, never part of migrate-init.
//
//	agent                     serve
//	agent fixture DIR N BIG   fill DIR (see manifest.Fixture)
package main

import (
	"fmt"
	"os"
	"strconv"

	"migrate-init/qemu-tests/lab/manifest"
)

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "lab agent:", err)
		if os.Getpid() == 1 {
			halt()
		}
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 5 && args[1] == "fixture" {
		n, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		big, err := strconv.ParseInt(args[4], 10, 64)
		if err != nil {
			return err
		}
		return manifest.Fixture(args[2], manifest.Size{Files: n, Big: big})
	}
	if os.Getpid() == 1 {
		if err := becomeInit(); err != nil {
			return err
		}
	}
	return serve()
}
