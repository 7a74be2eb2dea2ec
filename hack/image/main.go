// Command image writes an image of one static program, run as nobody, for one or several platforms, without a container engine and
// without pulling anything: besides the program it holds /etc/passwd and /etc/group.
//
//	image --name REPOSITORY:TAG --output FILE [--created SECONDS] [--label KEY=VALUE]… [--argument WORD]… OS/ARCHITECTURE=PROGRAM…
//
// The file is a tar archive that is an OCI image layout, and for a single platform what `docker load` reads as well. What goes in
// decides what comes out: the same programs and options make the same bytes. It prints the file and the digest by which a
// registry will know the image.
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: image --name REPOSITORY:TAG --output FILE [options] OS/ARCHITECTURE=PROGRAM…")
		flags.PrintDefaults()
	}
	i := Image{Created: time.Unix(0, 0), Labels: map[string]string{}, Programs: map[string]string{}}
	flags.StringVar(&i.Name, "name", "", "repository and tag")
	output := flags.String("output", "", "file to write")
	flags.Func("created", "time of the image, in seconds since 1970", func(text string) error {
		seconds, err := strconv.ParseInt(text, 10, 64)
		i.Created = time.Unix(seconds, 0)
		return err
	})
	flags.Func("label", "KEY=VALUE", func(text string) error { return pair(i.Labels, text) })
	flags.Func("argument", "word that follows the program in the entrypoint", func(text string) error {
		i.Arguments = append(i.Arguments, text)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, argument := range flags.Args() {
		if err := pair(i.Programs, argument); err != nil {
			return err
		}
	}
	digest, err := i.Write(*output)
	if err != nil {
		return fmt.Errorf("make %s: %w", i.Name, err)
	}
	fmt.Printf("%s\n%s@%s\n", *output, i.Name, digest)
	return nil
}

func pair(into map[string]string, text string) error {
	key, value, found := strings.Cut(text, "=")
	if !found || key == "" || value == "" {
		return fmt.Errorf("%q is not KEY=VALUE", text)
	}
	if _, twice := into[key]; twice {
		return fmt.Errorf("%s is given twice", key)
	}
	into[key] = value
	return nil
}
