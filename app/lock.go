package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// lockPatience is how long a server waits for its folder: one that was killed is gone a moment later, and so is what it was
// just starting, which holds all that it held until it has become a program of its own.
const lockPatience = 5 * time.Second

// lockPatiently locks a folder, and says so when it has to wait for it.
func lockPatiently(ctx context.Context, folder string, patience time.Duration, log *slog.Logger) (*os.File, error) {
	for began, said := time.Now(), false; ; {
		f, err := lockFolder(folder)
		if !errors.Is(err, fault.Conflict) || time.Since(began) >= patience || holds("/proc/self", folder) {
			return f, err
		}
		if !said {
			said = true
			log.Warn("the data folder is in use: waiting", "folder", folder, "by", strings.Join(holders(folder), ", "), "at most", patience)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lockFolder refuses a second server in the same folder.
func lockFolder(folder string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Invalid.Errorf("locking the data folder: %w (-data names another)", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			by := ""
			if who := holders(folder); len(who) > 0 {
				by = " (" + strings.Join(who, ", ") + ")"
			}
			return nil, fault.Conflict.Errorf("another haechi is using %s%s: stop it, or give this one another folder with -data", folder, by)
		}
		return nil, fmt.Errorf("locking %s: %w", folder, err)
	}
	return f, nil
}

// Unused says so if another process uses a data folder.
func Unused(folder string) error {
	f, err := lockFolder(folder)
	if err != nil {
		return err
	}
	return f.Close()
}

// mostHolders is how many processes are named.
const mostHolders = 5

// holders are the processes that have a folder's lock open, where the system tells: this one's own are none.
func holders(folder string) (who []string) {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	for _, at := range processes {
		id := filepath.Base(at)
		if id != strconv.Itoa(os.Getpid()) && holds(at, folder) {
			who = append(who, "process "+id)
		}
		if len(who) == mostHolders {
			break
		}
	}
	return who
}

// holds tells whether a process has a folder's lock open.
func holds(process, folder string) bool {
	lock, err := os.Stat(filepath.Join(folder, "lock"))
	if err != nil {
		return false
	}
	open, err := os.ReadDir(filepath.Join(process, "fd"))
	if err != nil {
		return false // another's, or gone
	}
	return slices.ContainsFunc(open, func(fd os.DirEntry) bool {
		info, err := os.Stat(filepath.Join(process, "fd", fd.Name()))
		return err == nil && os.SameFile(info, lock)
	})
}
