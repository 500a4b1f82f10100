package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
	"golang.org/x/crypto/argon2"
)

const (
	idle     = time.Hour      // a session nobody uses ends
	absolute = 12 * time.Hour // and so does every other
	patience = 5              // wrong passwords before the user is locked
	lockout  = time.Minute    // doubled with every further one, up to:
	longest  = 15 * time.Minute
)

// ShortestPassword is how many characters a console password has at least.
const ShortestPassword = 12

// argon2id as OWASP has it (19 MiB, 2 passes), written as PHC does.
const (
	argonTime, argonMemory, argonThreads, argonKey = 2, 19 * 1024, 1, 32
	phc                                            = "$argon2id$v=19$m=19456,t=2,p=1$"
)

func hashPassword(password string) string {
	var salt [16]byte
	rand.Read(salt[:])
	sum := argon2.IDKey([]byte(password), salt[:], argonTime, argonMemory, argonThreads, argonKey)
	b64 := base64.RawStdEncoding
	return phc + b64.EncodeToString(salt[:]) + "$" + b64.EncodeToString(sum)
}

// same takes as long for a user without a password as for one with.
func same(password, hashed string) bool {
	salt, sum, ok := strings.Cut(strings.TrimPrefix(hashed, phc), "$")
	b64 := base64.RawStdEncoding
	saltRaw, err1 := b64.DecodeString(salt)
	sumRaw, err2 := b64.DecodeString(sum)
	ok = ok && err1 == nil && err2 == nil && len(sumRaw) == argonKey
	if !ok {
		saltRaw, sumRaw = make([]byte, 16), make([]byte, argonKey)
	}
	got := argon2.IDKey([]byte(password), saltRaw, argonTime, argonMemory, argonThreads, argonKey)
	return subtle.ConstantTimeCompare(got, sumRaw) == 1 && ok
}

// hash is how a token of 256 random bits is kept: it cannot be guessed, so it needs no salt.
func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// SetPassword gives a user a console password of at least 12 characters and ends all sessions.
func (a *Access) SetPassword(ctx context.Context, user string, password seal.Secret) error {
	return a.PutPassword(ctx, user, password, false)
}

// PutPassword is SetPassword; with change the user has to set another one at the next sign-in.
func (a *Access) PutPassword(ctx context.Context, user string, password seal.Secret, change bool) error {
	if n := len([]rune(password.Reveal())); n < ShortestPassword || n > 1000 {
		return fault.Invalid.Errorf("a password has at least %d characters", ShortestPassword)
	}
	hashed := hashPassword(password.Reveal())
	return a.change(ctx, func(tx *db.Tx) error {
		if err := userIn(tx, user); err != nil {
			return err
		}
		return a.putPassword(tx, user, hashed, change)
	})
}

func (a *Access) putPassword(tx *db.Tx, user, hashed string, change bool) error {
	if _, err := tx.Exec("UPDATE access_users SET password = ?, failures = 0, locked_until = 0 WHERE name = ?", hashed, user); err != nil {
		return err
	}
	if _, err := tx.Exec("DELETE FROM access_sessions WHERE user_name = ?", user); err != nil {
		return err
	}
	return editUser(tx, user, func(d *userDoc) error {
		d.PasswordSet, d.MustChange = a.now(), change
		return nil
	})
}

// ChangePassword is SetPassword by whoever knows the old one.
func (a *Access) ChangePassword(ctx context.Context, user string, old, password seal.Secret) error {
	if err := a.right(ctx, user, old); err != nil {
		return err
	}
	return a.SetPassword(ctx, user, password)
}

// DeletePassword ends a user's way into the console, and all sessions.
func (a *Access) DeletePassword(ctx context.Context, user string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		if err := userIn(tx, user); err != nil {
			return err
		}
		n, err := tx.Exec("UPDATE access_users SET password = '' WHERE name = ? AND password <> ''", user)
		if err == nil && n == 0 {
			return fault.NotFound.Errorf("Login Profile for User %s cannot be found.", user)
		}
		if err != nil {
			return err
		}
		if err := editUser(tx, user, func(d *userDoc) error { d.PasswordSet, d.MustChange = time.Time{}, false; return nil }); err != nil {
			return err
		}
		_, err = tx.Exec("DELETE FROM access_sessions WHERE user_name = ?", user)
		return err
	})
}

// EditPassword says whether a user has to set another password at the next sign-in.
func (a *Access) EditPassword(ctx context.Context, user string, change bool) error {
	return a.change(ctx, func(tx *db.Tx) error {
		return editUser(tx, user, func(d *userDoc) error { d.MustChange = change; return nil })
	})
}

var errSignIn = fault.Unauthenticated.Errorf("the user or the password is wrong")

// A CodeNeeded is the error of a right password where a second factor is
// needed, too. The challenge stands for the password, for five minutes.
type CodeNeeded struct{ Challenge seal.Secret }

// Error says what is needed.
func (*CodeNeeded) Error() string { return "a code of the MFA device is needed" }

// Unwrap has whoever does not ask for the code say that nobody signed in.
func (*CodeNeeded) Unwrap() error { return fault.Unauthenticated }

const challenge = 5 * time.Minute

// SignIn begins a console session and returns its token: 256 bits that are
// kept only as a hash. Where the user has an MFA device it is a *CodeNeeded.
// Five wrong passwords or codes lock a user for a minute, each
// further one for twice as long, up to a quarter of an hour; what is wrong is not told.
func (a *Access) SignIn(ctx context.Context, user string, password seal.Secret) (token seal.Secret, err error) {
	if err := a.right(ctx, user, password); err != nil {
		return "", err
	}
	d, err := a.Directory(ctx)
	if err != nil {
		return "", err
	}
	who, err := d.User(user)
	switch {
	case err != nil:
		return "", errSignIn // gone this moment
	case who.Device == "":
		return a.begin(ctx, user, time.Time{})
	}
	c := newToken()
	err = a.config.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO access_challenges (hash, user_name, until) VALUES (?, ?, ?)", hash(c), user, a.config.Now().Add(challenge).UnixMicro())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("signing in: %w", err)
	}
	return "", &CodeNeeded{seal.Secret(c)}
}

// Confirm begins the session that was held back until a code was shown.
func (a *Access) Confirm(ctx context.Context, challenge seal.Secret, code string) (token seal.Secret, err error) {
	var user string
	err = a.config.DB.Read(ctx, func(tx *db.Tx) error {
		user, err = db.One(tx, db.Value[string], "SELECT user_name FROM access_challenges WHERE hash = ? AND until >= ?", hash(challenge.Reveal()), a.config.Now().UnixMicro())
		return err
	})
	if errors.Is(err, fault.NotFound) {
		return "", fault.Unauthenticated.Errorf("it took too long: sign in again")
	}
	if err != nil {
		return "", fmt.Errorf("signing in: %w", err)
	}
	if err := a.secondFactor(ctx, user, "", code); err != nil {
		return "", err
	}
	err = a.config.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("DELETE FROM access_challenges WHERE hash = ?", hash(challenge.Reveal()))
		if err == nil && n == 0 {
			return fault.Unauthenticated.Errorf("somebody signed in with this already: sign in again")
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return a.begin(ctx, user, a.config.Now())
}

// right tells whether a password is right; who is locked, it does not say.
func (a *Access) right(ctx context.Context, user string, password seal.Secret) error {
	var hashed string
	err := a.config.DB.Read(ctx, func(tx *db.Tx) (err error) {
		hashed, err = db.One(tx, db.Value[string], "SELECT password FROM access_users WHERE name = ?", user)
		return err
	})
	if err != nil && !errors.Is(err, fault.NotFound) {
		return fmt.Errorf("signing in: %w", err)
	}
	unknown := err != nil
	if err := a.locked(ctx, user); err != nil {
		return err
	}
	if right := same(password.Reveal(), hashed); unknown || !right {
		return errors.Join(errSignIn, a.wrong(ctx, user, unknown))
	}
	return nil
}

// locked is fault.Limit for as long as a user is locked.
func (a *Access) locked(ctx context.Context, user string) error {
	var until int64
	err := a.config.DB.Read(ctx, func(tx *db.Tx) (err error) {
		until, err = db.One(tx, db.Value[int64], "SELECT locked_until FROM access_users WHERE name = ?", user)
		return err
	})
	switch {
	case errors.Is(err, fault.NotFound):
		return nil
	case err != nil:
		return fmt.Errorf("signing in: %w", err)
	case until > a.config.Now().UnixMicro():
		return fault.Limit.Errorf("too many wrong passwords: try again after %s", time.UnixMicro(until).UTC().Format(time.RFC3339))
	}
	return nil
}

// wrong counts a wrong password; the count is read where it is written, so that many at once count as many.
func (a *Access) wrong(ctx context.Context, user string, unknown bool) error {
	if unknown {
		return nil
	}
	return a.config.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := db.One(tx, db.Value[int64], "UPDATE access_users SET failures = failures + 1 WHERE name = ? RETURNING failures", user)
		if err != nil || n < patience {
			return err
		}
		wait := min(lockout<<min(n-patience, 10), longest)
		_, err = tx.Exec("UPDATE access_users SET locked_until = ? WHERE name = ?", a.config.Now().Add(wait).UnixMicro(), user)
		return err
	})
}

func (a *Access) begin(ctx context.Context, user string, factor time.Time) (seal.Secret, error) {
	token, now := newToken(), a.config.Now().UnixMicro()
	err := a.config.DB.Write(ctx, func(tx *db.Tx) error {
		id, err := db.One(tx, db.Value[string], "UPDATE access_users SET failures = 0, locked_until = 0, signed_in = ? WHERE name = ? RETURNING id", now, user)
		if err != nil {
			return err
		}
		return a.hold(tx, token, user, &Session{Of: OfUser, Who: user, ID: id, Issued: a.config.Now(), MFA: factor})
	})
	if err != nil {
		return "", fmt.Errorf("signing in: %w", err)
	}
	return seal.Secret(token), nil
}

func heldRow(hash string) seal.Row {
	return seal.Row{Table: "access_sessions", ID: hash, Column: "held"}
}

// hold keeps a console session under its token's hash.
func (a *Access) hold(tx *db.Tx, token, user string, s *Session) error {
	h, now := hash(token), a.config.Now().UnixMicro()
	text, err := json.Marshal(s, json.Deterministic(true))
	if err != nil {
		return err
	}
	held, err := a.config.Sealer.Seal(heldRow(h), seal.Secret(text))
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO access_sessions (hash, user_name, created, seen, held) VALUES (?, ?, ?, ?, ?)", h, user, now, now, held)
	return err
}

// Session is whose session a token is; one that is over is fault.Unauthenticated.
func (a *Access) Session(ctx context.Context, token seal.Secret) (iam.Principal, error) {
	type row struct {
		user, held    string
		created, seen int64
	}
	var s row
	h := hash(token.Reveal())
	err := a.config.DB.Read(ctx, func(tx *db.Tx) (err error) {
		s, err = db.One(tx, func(scan db.Scan) (r row, err error) { return r, scan(&r.user, &r.held, &r.created, &r.seen) }, "SELECT user_name, held, created, seen FROM access_sessions WHERE hash = ?", h)
		return err
	})
	if err != nil && !errors.Is(err, fault.NotFound) {
		return iam.Principal{}, fmt.Errorf("looking up a session: %w", err)
	}
	now := a.config.Now()
	if err != nil || now.Sub(time.UnixMicro(s.seen)) > idle || now.Sub(time.UnixMicro(s.created)) > absolute {
		return iam.Principal{}, fault.Unauthenticated.Errorf("the session is over")
	}
	if now.Sub(time.UnixMicro(s.seen)) > time.Minute {
		err := a.config.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec("UPDATE access_sessions SET seen = ? WHERE hash = ?", now.UnixMicro(), h)
			return err
		})
		if err != nil {
			return iam.Principal{}, err
		}
	}
	return a.seated(ctx, h, s.user, s.held)
}

// seated is who is in a console session.
func (a *Access) seated(ctx context.Context, hash, user, text string) (iam.Principal, error) {
	if text == "" { // began before sessions were told apart by more than their user
		return a.Principal(ctx, user)
	}
	over := fault.Unauthenticated.Errorf("the session is over")
	a.mu.Lock()
	held := a.sessions[text]
	a.mu.Unlock()
	if held == nil {
		plain, err := a.config.Sealer.Open(heldRow(hash), text)
		if err != nil {
			return iam.Principal{}, over
		}
		held = &Session{}
		if err := json.Unmarshal([]byte(plain.Reveal()), held); err != nil {
			return iam.Principal{}, over
		}
		a.remember(text, held)
	}
	d, err := a.known(ctx)
	if err != nil {
		return iam.Principal{}, err
	}
	who, err := d.principal(held)
	if err != nil || !held.Expires.IsZero() && a.config.Now().After(held.Expires) {
		return iam.Principal{}, over
	}
	return who, nil
}

// SignOut ends a session.
func (a *Access) SignOut(ctx context.Context, token seal.Secret) error {
	return a.config.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("DELETE FROM access_sessions WHERE hash = ?", hash(token.Reveal()))
		return err
	})
}

// Link makes the token of a link that signs a user in once, within a minute.
func (a *Access) Link(ctx context.Context, user string) (seal.Secret, error) {
	token := newToken()
	err := a.config.DB.Write(ctx, func(tx *db.Tx) error {
		if err := userIn(tx, user); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO access_links (hash, user_name, until) VALUES (?, ?, ?)", hash(token), user, a.config.Now().Add(time.Minute).UnixMicro())
		return err
	})
	return seal.Secret(token), err
}

// Redeem begins the session that a link stands for.
func (a *Access) Redeem(ctx context.Context, token seal.Secret) (seal.Secret, error) {
	var user string
	err := a.config.DB.Write(ctx, func(tx *db.Tx) (err error) {
		user, err = db.One(tx, db.Value[string], "DELETE FROM access_links WHERE hash = ? AND until >= ? RETURNING user_name", hash(token.Reveal()), a.config.Now().UnixMicro())
		return err
	})
	if errors.Is(err, fault.NotFound) {
		return "", fault.Unauthenticated.Errorf("the link was used, or is older than a minute")
	}
	if err != nil {
		return "", err
	}
	return a.begin(ctx, user, time.Time{})
}
