package integration

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

const natsServerEnv = "NATSCAST_TEST_NATS_SERVER"

// workDir holds what all tests share: the binary, and the media files once they are made.
var workDir string

func binary() string { return filepath.Join(workDir, "natscast") }

func TestMain(m *testing.M) {
	if os.Getenv(natsServerEnv) != "" {
		if err := runNATSServer(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	if err := runMoreInParallel(); err != nil {
		return 0, err
	}
	if err := host.watch(); err != nil {
		return 0, err
	}
	if workDir, err = os.MkdirTemp("", "natscast-integration-"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(workDir)) }()
	if err := host.watchDisk(workDir); err != nil {
		return 0, err
	}
	args := []string{"build", "-o", binary()}
	if os.Getenv("NATSCAST_TEST_RACE") == "1" {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "natscast/cmd/natscast")...)
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%v: %w\n%s", build, err, out)
	}
	return m.Run(), nil
}

// runMoreInParallel has more tests run at once than there are processors, unless the
// user has said how many: they wait for media in real time far more than they compute.
func runMoreInParallel() error {
	const name = "test.parallel"
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == name })
	if chosen {
		return nil
	}
	return flag.Set(name, "12")
}

// runNATSServer is the main function of nats-server.
func runNATSServer(args []string) error {
	fs := flag.NewFlagSet("nats-server", flag.ContinueOnError)
	opts, err := server.ConfigureOptions(fs, args, nil, fs.Usage, nil)
	if err != nil {
		return err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	if err := server.Run(s); err != nil {
		return err
	}
	s.WaitForShutdown()
	return nil
}

// need skips the test when one of its tools is not installed.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		} else if os.Getenv("NATSCAST_TEST_STRICT") == "1" {
			t.Fatal(err)
		} else {
			t.Skip(err)
		}
	}
}
