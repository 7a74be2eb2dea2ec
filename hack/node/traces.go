package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// beforeFile lists, in the directory of a run, what the machine had before it.
const beforeFile = "before"

// traces lists what a run could change on the machine, were its namespaces not its own: one line each, sorted.
func traces() (all []string, err error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	for _, each := range interfaces {
		all = append(all, "interface "+each.Name)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		all = append(all, "mount "+strings.Fields(line)[4])
	}
	namespaces, err := filepath.Glob("/run/netns/*")
	if err != nil {
		return nil, err
	}
	for _, each := range namespaces {
		all = append(all, "network namespace "+each)
	}
	filters, err := packetFilters()
	if err != nil {
		return nil, err
	}
	all = append(all, filters...)
	slices.Sort(all)
	return slices.Compact(all), nil
}

// named lists what on the machine bears the name of the run: processes, control groups, the directory.
func named(dir string) (all []string, err error) {
	for _, path := range append(controlGroups(filepath.Base(dir)), dir) {
		if _, err := os.Lstat(path); err == nil {
			all = append(all, path)
		}
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	for _, file := range processes {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		if line := strings.ReplaceAll(string(text), "\x00", " "); strings.Contains(line, dir) {
			all = append(all, "process "+filepath.Base(filepath.Dir(file))+": "+line)
		}
	}
	return all, nil
}

var counted = regexp.MustCompile(`\[\d+:\d+\]`)

// packetFilters lists the rules of both kinds that iptables writes, without what they count.
func packetFilters() (all []string, err error) {
	for _, command := range [][]string{{"nft", "-s", "list", "ruleset"}, {"iptables-legacy-save"}, {"ip6tables-legacy-save"}} {
		output, err := exec.Command(command[0], command[1:]...).Output()
		if err != nil {
			return nil, fmt.Errorf("list packet filters: %s: %w", strings.Join(command, " "), err)
		}
		for lines := bufio.NewScanner(strings.NewReader(string(output))); lines.Scan(); {
			line := strings.TrimSpace(counted.ReplaceAllString(lines.Text(), ""))
			if line != "" && line != "}" && !strings.HasPrefix(line, "#") {
				all = append(all, "rule of "+command[0]+": "+line)
			}
		}
	}
	return all, nil
}

// left removes the directory and the control groups of a run, and says as an error what else it left.
func left(dir string) error {
	before, err := os.ReadFile(filepath.Join(dir, beforeFile))
	if errors.Is(err, fs.ErrNotExist) { // it ended before it began
		return remove(dir)
	}
	if err := errors.Join(err, remove(dir)); err != nil {
		return err
	}
	more, err := named(dir)
	if err != nil {
		return err
	}
	after, err := traces()
	if err != nil {
		return err
	}
	known := strings.Split(string(before), "\n")
	for _, each := range after {
		if _, found := slices.BinarySearch(known, each); !found {
			more = append(more, each)
		}
	}
	if len(more) == 0 {
		return nil
	}
	return fmt.Errorf("the node of %s left this behind, unless something else made it meanwhile:\n\t%s", dir, strings.Join(more, "\n\t"))
}
