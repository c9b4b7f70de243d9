// Package wire is the conversation between the lab on the host and its agent in the guest: JSON values, one after the
// other, over a virtio serial port. The host asks with [Request]; the agent greets once with an [Event] of kind Hello and
// answers each request with any number of Output events and exactly one Done event that carries the request's number.
package wire

// Port is the virtio serial port's name: /dev/virtio-ports/lab in a guest with udev.
const Port = "lab"

// Operations of a Request.
const (
	Run      = "run"      // run Script with a shell
	Push     = "push"     // write Data to Path at Offset; the last piece sets Mode and syncs
	Pull     = "pull"     // read Path, its bytes come as Output
	Manifest = "manifest" // walk Path, one JSON manifest.Entry a line as Output
	Kill     = "kill"     // SIGKILL to the process group of request Target
)

// Request is one thing to do. ID is chosen by the host and unique in one boot.
type Request struct {
	ID     int      `json:"id"`
	Op     string   `json:"op"`
	Script string   `json:"script,omitempty"`
	Path   string   `json:"path,omitempty"`
	Offset int64    `json:"offset,omitempty"`
	Mode   uint32   `json:"mode,omitempty"` // permission bits; 0 in all pieces but the last
	Data   []byte   `json:"data,omitempty"`
	Target int      `json:"target,omitempty"`
	Skip   []string `json:"skip,omitempty"` // manifest: paths below Path not to enter, without leading slash
}

// Kinds of an Event.
const (
	Hello  = "hello"
	Output = "output"
	Done   = "done"
)

// Event is what the agent says. Output mixes standard output and standard error in the order they were written.
type Event struct {
	ID   int    `json:"id"`
	Kind string `json:"kind"`
	Data []byte `json:"data,omitempty"`
	Code int    `json:"code,omitempty"` // exit code; 128 + signal when a signal ended it
	Err  string `json:"err,omitempty"`  // the agent could not do it at all
	Boot string `json:"boot,omitempty"` // hello: the kernel's boot id
	Up   string `json:"up,omitempty"`   // hello: seconds since the kernel started
}
