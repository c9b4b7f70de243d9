//go:build !cuttest

package main

import (
	"migrate-init/pkg/machine"
	"migrate-init/pkg/stage"
)

// withCut is for the test build, which cuts the power at an effect (cut_cuttest.go). The shipped binary has none of it.
func (a *app) withCut(m machine.Machine, _ func(stage.Event)) machine.Machine { return m }
