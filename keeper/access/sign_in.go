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
	shortest = 12 // characters of a password
)

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
	if n := len([]rune(password.Reveal())); n < shortest || n > 1000 {
		return fault.Invalid.Errorf("a password has at least %d characters", shortest)
	}
	hashed := hashPassword(password.Reveal())
	return a.change(ctx, func(tx *db.Tx) error {
		if err := a.must(tx, user); err != nil {
			return err
		}
		if _, err := tx.Exec("UPDATE access_users SET password = ?, failures = 0, locked_until = 0 WHERE name = ?", hashed, user); err != nil {
			return err
		}
		_, err := tx.Exec("DELETE FROM access_sessions WHERE user_name = ?", user)
		return err
	})
}

var errSignIn = fault.Unauthenticated.Errorf("the user or the password is wrong")

// SignIn begins a console session and returns its token: 256 bits that are
// kept only as a hash. Five wrong passwords lock a user for a minute, each
// further one for twice as long, up to a quarter of an hour; what is wrong is not told.
func (a *Access) SignIn(ctx context.Context, user string, password seal.Secret) (token seal.Secret, err error) {
	type row struct {
		password         string
		failures, locked int64
	}
	var who row
	err = a.config.DB.Read(ctx, func(tx *db.Tx) (err error) {
		who, err = db.One(tx, func(scan db.Scan) (r row, err error) { return r, scan(&r.password, &r.failures, &r.locked) }, "SELECT password, failures, locked_until FROM access_users WHERE name = ?", user)
		return err
	})
	if err != nil && !errors.Is(err, fault.NotFound) {
		return "", fmt.Errorf("signing in: %w", err)
	}
	unknown := err != nil
	now := a.config.Now()
	if who.locked > now.UnixMicro() {
		return "", fault.Limit.Errorf("too many wrong passwords: try again after %s", time.UnixMicro(who.locked).UTC().Format(time.RFC3339))
	}
	right := same(password.Reveal(), who.password)
	if unknown || !right {
		return "", errors.Join(errSignIn, a.wrong(ctx, user, unknown))
	}
	return a.begin(ctx, user)
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

func (a *Access) begin(ctx context.Context, user string) (seal.Secret, error) {
	token, now := newToken(), a.config.Now().UnixMicro()
	err := a.config.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec("UPDATE access_users SET failures = 0, locked_until = 0, signed_in = ? WHERE name = ?", now, user); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO access_sessions (hash, user_name, created, seen) VALUES (?, ?, ?, ?)", hash(token), user, now, now)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("signing in: %w", err)
	}
	return seal.Secret(token), nil
}

// Session is whose session a token is; one that is over is fault.Unauthenticated.
func (a *Access) Session(ctx context.Context, token seal.Secret) (iam.Principal, error) {
	type row struct {
		user          string
		created, seen int64
	}
	var s row
	h := hash(token.Reveal())
	err := a.config.DB.Read(ctx, func(tx *db.Tx) (err error) {
		s, err = db.One(tx, func(scan db.Scan) (r row, err error) { return r, scan(&r.user, &r.created, &r.seen) }, "SELECT user_name, created, seen FROM access_sessions WHERE hash = ?", h)
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
	return a.Principal(ctx, s.user)
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
		if err := a.must(tx, user); err != nil {
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
	return a.begin(ctx, user)
}
