package build

import (
	"github.com/haechi-dev/haechi/lang/buildspec"
	"github.com/haechi-dev/haechi/word/fault"
)

// Who is root in an image runs commands as anybody there; who is not runs all
// of them as the one user that there is.

// whoever tells who runs commands, where it is not that user.
func (r *running) whoever() string {
	if r.plan.AsRoot {
		return ", root in the image alone"
	}
	return ""
}

// passOver says which run-as of the buildspec are passed over.
func (r *running) passOver() {
	if r.plan.AsRoot {
		return
	}
	say := func(where string, u buildspec.User) {
		if u.Name != "" {
			r.printf("%srun-as: %s is passed over: commands run as a user of this build alone, without rights\n", where, u.Name)
		}
	}
	say("", r.spec.RunAs)
	for _, p := range r.spec.Phases {
		say("phases/"+p.Name+"/", p.RunAs)
	}
}

// become has the commands that follow run as a user of a phase, or of the buildspec.
func (r *running) become(u buildspec.User) error {
	if !r.plan.AsRoot {
		return nil
	}
	if u.Name == "" {
		u = r.spec.RunAs
	}
	if u.Name == "root" {
		u.Name = ""
	}
	if u.Name == r.user {
		return nil
	}
	home, err := r.shell.become(u.Name)
	if err != nil {
		if fault.Of(err) == fault.Invalid {
			err = fault.Invalid.Errorf("%s: run-as: %w", u.At, err)
		}
		return err
	}
	if u.Name == "" {
		home = r.work + "/home"
	}
	before := r.home
	if before == "" {
		before = r.work + "/home"
	}
	r.user, r.home = u.Name, home
	now, _, err := r.shell.value("HOME")
	if err != nil || now != before { // a command has said where it is
		return err
	}
	return r.shell.tell("export HOME=" + quote(home))
}
