package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"migrate-init/qemu-tests/lab/wire"
)

// Config is one boot of one guest.
type Config struct {
	Name   string // in messages; "vm" when empty
	Dir    string // where console.log and qemu.log are appended to; must exist
	Disks  []Disk // in the order of the BIOS and of /dev/vda, vdb ...
	Kernel string // boot this directly, without BIOS disk and boot loader
	Initrd string
	Append string
	Memory int      // MiB; 1024 when 0
	CPU    string   // empty is the fastest that always worked: qemu64 without cx16, with which newer kernels crash on QEMU 7.2
	Args   []string // more words for QEMU
}

// Ended is why a QEMU process is gone.
type Ended struct {
	// Reason is QEMU's word (guest-shutdown, guest-reset, host-qmp-quit ...), "cut" after Cut, or "died".
	Reason  string
	Err     error // of the process itself, when it did not exit cleanly
	Seconds float64
}

func (e Ended) String() string { return fmt.Sprintf("%s after %.1f s", e.Reason, e.Seconds) }

// VM is one running QEMU process.
type VM struct {
	Console *Console

	name  string
	log   string // qemu.log
	start time.Time
	logf  Logf
	cmd   *exec.Cmd
	qmp   *qmp
	agent *agentLink

	mu     sync.Mutex
	reason string
	gone   chan struct{}
	ended  Ended
}

// Start boots a guest and returns at once. It waits for one of the machine's slots first. The guest is killed when the
// test process dies, and by Close.
func (l *Lab) Start(ctx context.Context, c Config) (*VM, error) {
	if c.Name == "" {
		c.Name = "vm"
	}
	release, err := l.slot(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	vm, err := l.start(c, release)
	if err != nil {
		release()
		return nil, err
	}
	return vm, nil
}

// slot is one of the places for running guests that all test processes with this cache share: two, or what
// $MIGRATE_INIT_VMS says. A third guest on two cores only makes every time-out a lie. A test should hold one at a time: two
// tests that hold one each and want a second wait for each other until their contexts end.
func (l *Lab) slot(ctx context.Context, name string) (release func(), err error) {
	n, err := strconv.Atoi(os.Getenv("MIGRATE_INIT_VMS"))
	if err != nil || n < 1 {
		n = 2
	}
	var files []string
	for i := range n {
		files = append(files, filepath.Join(l.Cache, fmt.Sprintf("vm-slot-%d.lock", i)))
	}
	return lock(ctx, files, func() { l.logf("lab: %s waits: %d guests run already on this machine", name, n) })
}

func (l *Lab) start(c Config, release func()) (*VM, error) {
	var files [3]*os.File
	var conns [3]net.Conn
	for i := range files {
		f, conn, err := socketpair()
		if err != nil {
			return nil, err
		}
		defer f.Close()
		files[i], conns[i] = f, conn
	}
	log, err := os.OpenFile(filepath.Join(c.Dir, "qemu.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	console, err := newConsole(conns[1], filepath.Join(c.Dir, "console.log"), c.Name)
	if err != nil {
		return nil, err
	}
	args, err := c.args()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("qemu-system-x86_64", args...)
	cmd.ExtraFiles = files[:]
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}
	vm := &VM{Console: console, name: c.Name, log: log.Name(), start: time.Now(), logf: l.logf, cmd: cmd, gone: make(chan struct{})}
	vm.qmp = newQMP(conns[0], vm.event)
	vm.agent = newAgentLink(conns[2])

	started := make(chan error)
	go func() {
		// Pdeathsig is tied to the thread that started the process: keep it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			vm.finish(cmd.Wait(), release)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("lab: qemu: %w", err)
	}
	return vm, nil
}

func (vm *VM) finish(err error, release func()) {
	<-vm.qmp.closed // its last event says why
	<-vm.Console.closed
	vm.mu.Lock()
	vm.ended = Ended{Reason: vm.reason, Err: err, Seconds: time.Since(vm.start).Seconds()}
	if vm.ended.Reason == "" {
		vm.ended.Reason = "died"
		said, _ := os.ReadFile(vm.log)
		vm.ended.Err = fmt.Errorf("lab: %s: qemu died (%v) and said: %s", vm.name, err, tail(said, 1500))
	}
	if vm.ended.Reason == "cut" {
		vm.ended.Err = nil
	}
	vm.mu.Unlock()
	release()
	gone := fmt.Errorf("lab: %s: guest is gone: %s", vm.name, vm.ended)
	if vm.ended.Err != nil {
		gone = fmt.Errorf("%w: %w", gone, vm.ended.Err)
	}
	vm.agent.end(gone)
	vm.logf("lab: %s: ended: %s", vm.name, vm.ended)
	close(vm.gone)
}

func (vm *VM) event(name string, data json.RawMessage) {
	if name != "SHUTDOWN" {
		return
	}
	var d struct{ Reason string }
	_ = json.Unmarshal(data, &d)
	vm.because(d.Reason)
}

// because keeps the first reason: what comes later is its consequence.
func (vm *VM) because(reason string) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.reason == "" {
		vm.reason = reason
	}
}

// socketpair gives one end to QEMU and keeps one: no socket files, nothing to clean up.
func socketpair() (*os.File, net.Conn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours := os.NewFile(uintptr(fds[1]), "qemu")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, errors.Join(err, unix.Close(fds[0]))
	}
	return os.NewFile(uintptr(fds[0]), "qemu"), conn, nil
}

func (c Config) args() ([]string, error) {
	if c.Memory == 0 {
		c.Memory = 1024
	}
	if c.CPU == "" {
		c.CPU = "qemu64,-cx16,-svm" // with svm udev loads kvm-amd
	}
	args := []string{"-accel", "tcg,thread=multi,tb-size=512", "-cpu", c.CPU, "-smp", "1", "-m", strconv.Itoa(c.Memory),
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-vga", "none",
		"-chardev", "socket,id=qmp,fd=3", "-mon", "chardev=qmp,mode=control",
		"-chardev", "socket,id=console,fd=4", "-serial", "chardev:console"}
	more, err := controllers(c.Disks)
	if err != nil {
		return nil, err
	}
	args = append(args, more...)
	nth := map[Bus]int{}
	for i, d := range c.Disks {
		more, err := d.args(i, nth[d.Bus])
		if err != nil {
			return nil, err
		}
		nth[d.Bus]++
		args = append(args, more...)
	}
	args = append(args, "-device", "virtio-rng-pci", "-device", "virtio-serial-pci,ioeventfd=off",
		"-chardev", "socket,id=lab,fd=5", "-device", "virtserialport,chardev=lab,name="+wire.Port)
	if c.Kernel != "" {
		args = append(args, "-kernel", c.Kernel, "-append", c.Append)
	}
	if c.Initrd != "" {
		args = append(args, "-initrd", c.Initrd)
	}
	return append(args, c.Args...), nil
}

// Wait waits for the guest to end by itself.
func (vm *VM) Wait(ctx context.Context) (Ended, error) {
	select {
	case <-vm.gone:
		return vm.ended, vm.ended.Err
	case <-ctx.Done():
		return Ended{}, fmt.Errorf("lab: %s still runs: %w; console ends:\n%s", vm.name, ctx.Err(), vm.Console.Tail(2000))
	}
}

// Cut is the power cut: SIGKILL. The image files then hold every write that QEMU had completed to the guest, whether or
// not the guest had flushed it, and none of those in flight. A drive that loses its volatile cache is not modelled.
func (vm *VM) Cut() error {
	vm.because("cut")
	if err := vm.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-vm.gone
	return nil
}

// Close ends the guest if it still runs. For cleanup: defer or testing.T.Cleanup.
func (vm *VM) Close() {
	select {
	case <-vm.gone:
	default:
		_ = vm.Cut()
	}
}

// PowerOff shuts the guest down in order, through its agent, and insists that it powered off rather than rebooted.
func (vm *VM) PowerOff(ctx context.Context) error {
	return vm.leave(ctx, "poweroff", "guest-shutdown")
}

// Reboot has the guest reboot in order; with one process a boot that ends it.
func (vm *VM) Reboot(ctx context.Context) error { return vm.leave(ctx, "reboot", "guest-reset") }

func (vm *VM) leave(ctx context.Context, how, reason string) error {
	// The small guest has busybox's, where only -f works without an init.
	script := "if [ -d /run/systemd/system ]; then systemctl --no-block " + how + "; else sync; " + how + " -f; fi"
	go func() { _, _ = vm.Run(ctx, script) }()
	e, err := vm.Wait(ctx)
	if err == nil && e.Reason != reason {
		err = fmt.Errorf("lab: %s: %s ended as %s; console ends:\n%s", vm.name, how, e, vm.Console.Tail(2000))
	}
	return err
}

// Uptime is how long the QEMU process has been running.
func (vm *VM) Uptime() time.Duration { return time.Since(vm.start) }

// Pid is QEMU's process id.
func (vm *VM) Pid() int { return vm.cmd.Process.Pid }
