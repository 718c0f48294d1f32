package problem

// Code names a kind of problem. Codes are part of the interface: scripts match
// them in the JSON error object, so a code is never renamed.
type Code string

// Exit codes of the program, see `flexvc help exit-codes`.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitPartly      = 3
	ExitCredentials = 4
	ExitPending     = 5
	ExitLocked      = 6
	ExitInterrupted = 130
)

// The codes, grouped by what the user can do about them.
const (
	Internal Code = "internal" // a bug in flexvc: the message asks for a report

	Usage              Code = "usage"
	ConfirmationNeeded Code = "confirmation-needed"
	Declined           Code = "declined"
	Interrupted        Code = "interrupted"
	ChangesPending     Code = "changes-pending"
	PartlyDone         Code = "partly-done"
	ChecksFailed       Code = "checks-failed"
	Locked             Code = "locked"

	ConfigInvalid       Code = "config-invalid"
	ConfigUnreadable    Code = "config-unreadable"
	ConfigUnwritable    Code = "config-unwritable"
	StateUnreadable     Code = "state-unreadable"
	StateUnwritable     Code = "state-unwritable"
	InputUnreadable     Code = "input-unreadable"
	OutputUnwritable    Code = "output-unwritable"
	KeychainUnavailable Code = "keychain-unavailable"
	SigningKeyInvalid   Code = "signing-key-invalid"
	AddressUnavailable  Code = "address-unavailable"
	ExtensionInvalid    Code = "extension-invalid"
	ExtensionIncomplete Code = "extension-incomplete"
	PluginIncomplete    Code = "plugin-incomplete"
	PackageInvalid      Code = "package-invalid"
	PolicyConflict      Code = "policy-conflict"
	DowngradeRefused    Code = "downgrade-refused"

	CredentialsMissing Code = "credentials-missing"
	CredentialsRefused Code = "credentials-refused"
	PermissionDenied   Code = "permission-denied"
	WrongTarget        Code = "wrong-target"

	VersionNotNewer    Code = "version-not-newer"
	NothingToRollBack  Code = "nothing-to-roll-back"
	PluginNotBuilt     Code = "plugin-not-built"
	FlexNotFound       Code = "flex-not-found"
	ActivityUnusable   Code = "activity-unusable"
	WorkerNotFound     Code = "worker-not-found"
	WorkerAmbiguous    Code = "worker-ambiguous"
	WorkerOffline      Code = "worker-offline"
	FilterRefused      Code = "filter-refused"
	AttributesInvalid  Code = "attributes-invalid"
	AttributesTooLong  Code = "attributes-too-long"
	EditedSince        Code = "edited-since"
	RunNotFound        Code = "run-not-found"
	RunNotResumable    Code = "run-not-resumable"
	JournalDamaged     Code = "journal-damaged"
	EventsTaken        Code = "events-taken"
	NotFound           Code = "not-found"
	PreconditionFailed Code = "precondition-failed"
	RequestRefused     Code = "request-refused"
	RateLimited        Code = "rate-limited"
	TwilioUnavailable  Code = "twilio-unavailable"
	TwilioAnswer       Code = "twilio-answer"
	NetworkUnreachable Code = "network-unreachable"
	StoreRefused       Code = "store-refused"
	StoreUnavailable   Code = "store-unavailable"
	Timeout            Code = "timeout"
)

// Entry documents one code.
type Entry struct {
	Code    Code
	Exit    int
	Meaning string // one sentence for docs/errors.md
	Remedy  string // what usually helps
}

// Catalogue lists every code in the order of docs/errors.md. A test fails when
// a constant above is missing here.
var Catalogue = []Entry{
	{Internal, ExitFailed, "flexvc met a state it should never be in.", "Report it with the version and the message."},
	{Usage, ExitUsage, "The command line is not one flexvc understands.", "See the command's --help."},
	{ConfirmationNeeded, ExitUsage, "A question had to be asked, but nobody is there to answer it.", "Review with --dry-run, then repeat with --yes."},
	{Declined, ExitFailed, "The plan was shown and not confirmed; nothing was changed.", "Run the command again and answer yes."},
	{Interrupted, ExitInterrupted, "Ctrl-C or SIGTERM ended the command.", "flexvc runs resume continues a bulk change."},
	{ChangesPending, ExitPending, "--exit-code was given and there are changes to make.", "Run the command without --dry-run."},
	{PartlyDone, ExitPartly, "A bulk change ended with some workers failed or blocked; the journal is kept.", "flexvc runs resume RUN --retry-failed."},
	{ChecksFailed, ExitFailed, "flexvc doctor found something wrong.", "Each failed check names its cause and what mends it."},
	{Locked, ExitLocked, "Another run works on the same workspace or data folder.", "Wait for it to end."},
	{ConfigInvalid, ExitUsage, "A setting has a value that cannot be used.", "flexvc config list --origin shows where it comes from."},
	{ConfigUnreadable, ExitUsage, "The configuration could not be read.", "Check the path and its permissions."},
	{ConfigUnwritable, ExitUsage, "The configuration could not be written; nothing was changed.", "Make the folder writable or name another with --config."},
	{StateUnreadable, ExitFailed, "The state folder could not be read.", "Check the path and its permissions."},
	{StateUnwritable, ExitFailed, "The journal could not be written, so no further change was made.", "Free disk space, then flexvc runs resume."},
	{InputUnreadable, ExitUsage, "A file named on the command line could not be read or understood.", "Check the path and the format."},
	{OutputUnwritable, ExitFailed, "Results could not be written.", "Check disk space and permissions."},
	{KeychainUnavailable, ExitUsage, "The system keychain cannot be used here.", "Name a file with --secret-file; it is created with mode 0600."},
	{SigningKeyInvalid, ExitUsage, "The extension's signing key cannot be used.", "Restore the key from a backup: another key is another extension."},
	{AddressUnavailable, ExitUsage, "The address to listen on could not be opened.", "Choose another with --listen."},
	{ExtensionInvalid, ExitUsage, "The extension's folder cannot be packed: something in it is missing, changed or not allowed.", "Repair what the message names, or pack the built-in extension."},
	{ExtensionIncomplete, ExitUsage, "This flexvc was built without the Voice SDK, so its extension could not make calls.", "Build with make build, which needs npm; or npm run build in extension/, and pack with --from extension/app."},
	{PluginIncomplete, ExitUsage, "This flexvc was built without the Flex plugin.", "Build with make build, which needs npm; or install a released flexvc."},
	{PackageInvalid, ExitFailed, "A package was checked, and a browser would refuse it.", "Pack it again with flexvc pack."},
	{PolicyConflict, ExitUsage, "A policy file has an entry of the administrator's that differs from the wanted one; it was left alone.", "Change the entry by hand, then repeat."},
	{DowngradeRefused, ExitUsage, "Browsers were offered a higher version of the extension, and no browser goes back to a lower one.", "Publish the old code under a higher number: flexvc pack --from DIR --version N."},
	{CredentialsMissing, ExitCredentials, "No Twilio credentials were found.", "Set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or use -p emulator."},
	{CredentialsRefused, ExitCredentials, "Twilio does not accept the credentials.", "Check the account SID and the token or key."},
	{PermissionDenied, ExitCredentials, "The credentials work but may not do this.", "Use the auth token or a Main API key."},
	{WrongTarget, ExitUsage, "A real SID was about to go to the emulator, or a made-up one to Twilio.", "Check the profile."},
	{FlexNotFound, ExitFailed, "The account has no Flex.", "Check the account, or name the workspace with --workspace."},
	{VersionNotNewer, ExitUsage, "The plugin's version is not newer than one that is there.", "Leave --version out, or raise it."},
	{NothingToRollBack, ExitFailed, "There is no release of the plugin to take back.", "flexvc plugin status shows what Flex loads."},
	{PluginNotBuilt, ExitFailed, "Twilio Serverless could not build what the plugin is served from, or not in time.", "Run flexvc plugin deploy again: it goes on where it stopped."},
	{ActivityUnusable, ExitFailed, "An activity of the wanted name exists and is available: yes, which Twilio never changes.", "Rename it or pass --activity-name."},
	{WorkerNotFound, ExitUsage, "A worker named on the command line or in a file does not exist.", "flexvc workers list shows them."},
	{WorkerAmbiguous, ExitUsage, "A worker's name stands for more than one worker.", "Name it by its SID."},
	{WorkerOffline, ExitFailed, "No voice client is registered for the worker on the emulator.", "Open Flex with the extension and wait until its icon is green."},
	{FilterRefused, ExitUsage, "Twilio does not accept the filter expression.", "See the TaskRouter expression syntax."},
	{AttributesInvalid, ExitFailed, "A worker's attributes are not a JSON object.", "Repair them in the Console; flexvc leaves them alone."},
	{AttributesTooLong, ExitFailed, "A worker's attributes would grow beyond Twilio's 4096 characters.", "Shorten them first."},
	{EditedSince, ExitFailed, "A worker was edited after the run that is to be rolled back, so it was left alone.", "Compare it with flexvc workers show."},
	{RunNotFound, ExitUsage, "No run of that name is in the journal.", "flexvc runs list shows them."},
	{RunNotResumable, ExitUsage, "The run has nothing left to do.", "flexvc runs show RUN tells how it ended."},
	{JournalDamaged, ExitFailed, "A run's journal is damaged beyond a torn last line.", "Do not edit journals; restore it from a backup."},
	{EventsTaken, ExitFailed, "The workspace calls somebody else's address for its events, and has room for one.", "Use Event Streams: flexvc events enable, without --callback."},
	{NotFound, ExitFailed, "Twilio does not know the object.", "It may have been deleted meanwhile."},
	{PreconditionFailed, ExitFailed, "The object kept changing while flexvc tried to change it.", "Try again when it is quieter."},
	{RequestRefused, ExitFailed, "Twilio refused a request.", "The message carries Twilio's own code."},
	{RateLimited, ExitFailed, "Twilio kept answering that requests come too fast.", "Try again later."},
	{TwilioUnavailable, ExitFailed, "Twilio answered that it cannot serve the request now.", "Try again later; see status.twilio.com."},
	{TwilioAnswer, ExitFailed, "Twilio's answer could not be understood.", "Try again; report it if it stays."},
	{NetworkUnreachable, ExitFailed, "Twilio could not be reached.", "Check the network and the proxy settings."},
	{StoreRefused, ExitFailed, "The Chrome Web Store refused a package or a request.", "The message carries the store's own words."},
	{StoreUnavailable, ExitFailed, "The Chrome Web Store could not be reached, or has not answered in time.", "Repeat the command: it goes on where it stopped."},
	{Timeout, ExitFailed, "The time given with --timeout ran out.", "Give more time."},
}

// Exit returns the exit code that belongs to err: 0 for nil, 1 for an error
// without a code.
func Exit(err error) int {
	if err == nil {
		return ExitDone
	}
	p := As(err)
	if p == nil {
		return ExitFailed
	}
	for _, e := range Catalogue {
		if e.Code == p.Code {
			return e.Exit
		}
	}
	return ExitFailed
}
