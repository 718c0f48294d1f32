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
	SecretMissing       Code = "secret-missing"
	SetUpElsewhere      Code = "set-up-elsewhere"
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

	VersionNotNewer      Code = "version-not-newer"
	NothingToRollBack    Code = "nothing-to-roll-back"
	PluginNotBuilt       Code = "plugin-not-built"
	ServiceTaken         Code = "service-taken"
	FunctionNotBuilt     Code = "function-not-built"
	FunctionNotAnswering Code = "function-not-answering"
	FunctionInUse        Code = "function-in-use"
	WorkersDepend        Code = "workers-depend"
	PluginNotReleased    Code = "plugin-not-released"
	FlexNotFound         Code = "flex-not-found"
	ActivityUnusable     Code = "activity-unusable"
	WorkerNotFound       Code = "worker-not-found"
	WorkerAmbiguous      Code = "worker-ambiguous"
	WorkerOffline        Code = "worker-offline"
	FilterRefused        Code = "filter-refused"
	AttributesInvalid    Code = "attributes-invalid"
	AttributesTooLong    Code = "attributes-too-long"
	AddressForeign       Code = "address-foreign"
	EditedSince          Code = "edited-since"
	RunNotFound          Code = "run-not-found"
	RunNotResumable      Code = "run-not-resumable"
	JournalDamaged       Code = "journal-damaged"
	EventsTaken          Code = "events-taken"
	NotFound             Code = "not-found"
	PreconditionFailed   Code = "precondition-failed"
	RequestRefused       Code = "request-refused"
	RateLimited          Code = "rate-limited"
	TwilioUnavailable    Code = "twilio-unavailable"
	TwilioAnswer         Code = "twilio-answer"
	NetworkUnreachable   Code = "network-unreachable"
	StoreRefused         Code = "store-refused"
	StoreUnavailable     Code = "store-unavailable"
	Timeout              Code = "timeout"
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
	{Internal, ExitFailed, "flexvc reached a state that should not be possible: a bug.", "Report it with the version and the message."},
	{Usage, ExitUsage, "The command line is invalid.", "See the command's --help."},
	{ConfirmationNeeded, ExitUsage, "Confirmation is required, but nobody can be asked.", "Review with --dry-run, then run again with --yes."},
	{Declined, ExitFailed, "The plan was not confirmed; nothing was changed.", "Run the command again and answer yes."},
	{Interrupted, ExitInterrupted, "Ctrl-C or SIGTERM ended the command.", "Continue a bulk change with flexvc runs resume."},
	{ChangesPending, ExitPending, "--exit-code was given and changes are pending.", "Run the command without --dry-run."},
	{PartlyDone, ExitPartly, "Some workers failed or were blocked in a bulk change; the journal is kept.", "flexvc runs resume RUN --retry-failed."},
	{ChecksFailed, ExitFailed, "flexvc doctor found something wrong.", "Each failed check names its cause and fix."},
	{Locked, ExitLocked, "Another run is using the same workspace or data folder.", "Wait for it to finish."},
	{ConfigInvalid, ExitUsage, "A setting has an invalid value.", "See where it comes from: flexvc config list --origin."},
	{ConfigUnreadable, ExitUsage, "The configuration could not be read.", "Check the path and its permissions."},
	{ConfigUnwritable, ExitUsage, "The configuration could not be written; nothing was changed.", "Make the folder writable, or choose another file with --config."},
	{StateUnreadable, ExitFailed, "The state folder could not be read.", "Check the path and its permissions."},
	{StateUnwritable, ExitFailed, "The journal could not be written, so no further changes were made.", "Free disk space, then flexvc runs resume."},
	{InputUnreadable, ExitUsage, "An input file could not be read or parsed.", "Check the path and the format."},
	{OutputUnwritable, ExitFailed, "Results could not be written.", "Check disk space and permissions."},
	{KeychainUnavailable, ExitUsage, "The system keychain is not available.", "Use --secret-file; the file is created with mode 0600."},
	{SigningKeyInvalid, ExitUsage, "The extension's signing key cannot be used.", "Restore the key from a backup: a new key means a new extension."},
	{SecretMissing, ExitUsage, "The secret of the token server's key is on another machine, or lost.", "flexvc config import, or flexvc init --new-api-key."},
	{SetUpElsewhere, ExitUsage, "The account was set up on another machine.", "flexvc config export --sealed there, flexvc config import here."},
	{AddressUnavailable, ExitUsage, "The address to listen on is not available.", "Choose another with --listen."},
	{ExtensionInvalid, ExitUsage, "The extension cannot be packed: a file is missing, changed or not allowed.", "Fix what the message names, or pack the built-in extension."},
	{ExtensionIncomplete, ExitUsage, "This flexvc was built without the Voice SDK, so its extension could not make calls.", "Build with make build, which needs npm; or run npm run build in extension/ and pack with --from extension/app."},
	{PluginIncomplete, ExitUsage, "This flexvc was built without the Flex plugin.", "Build with make build, which needs npm, or install a released flexvc."},
	{PackageInvalid, ExitFailed, "The package was checked, and a browser would reject it.", "Pack it again with flexvc pack."},
	{PolicyConflict, ExitUsage, "An existing policy file conflicts with the required entry; it was not changed.", "Change the entry by hand, then run the command again."},
	{DowngradeRefused, ExitUsage, "Browsers were already offered a higher version of the extension, and never downgrade.", "Publish the old code under a higher version: flexvc pack --from DIR --version N."},
	{CredentialsMissing, ExitCredentials, "No Twilio credentials found.", "Set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or use -p emulator."},
	{CredentialsRefused, ExitCredentials, "Twilio does not accept the credentials.", "Check the account SID and the token or key."},
	{PermissionDenied, ExitCredentials, "The credentials are valid but lack permission.", "Use the auth token or a Main API key."},
	{WrongTarget, ExitUsage, "A real SID would have gone to the emulator, or an emulated one to Twilio.", "Check the profile."},
	{FlexNotFound, ExitFailed, "The account has no Flex.", "Check the account, or pass --workspace."},
	{VersionNotNewer, ExitUsage, "The plugin's version is not newer than an existing one.", "Omit --version, or raise it."},
	{NothingToRollBack, ExitFailed, "The plugin or the token Function has nothing to roll back to.", "See what is there: flexvc plugin status, flexvc function status."},
	{PluginNotBuilt, ExitFailed, "Twilio Serverless failed to build the plugin's files, or not in time.", "Run flexvc plugin deploy again to continue."},
	{ServiceTaken, ExitFailed, "A Serverless service has the name of the token Function's and was not created by flexvc.", "Rename or delete it in the Twilio Console, or use flexvc serve."},
	{FunctionNotBuilt, ExitFailed, "Twilio Serverless failed to build the token Function, or not in time.", "Run flexvc function deploy again to continue."},
	{FunctionNotAnswering, ExitFailed, "The token Function is deployed but does not answer as it should.", "See its log in the Twilio Console; flexvc function rollback."},
	{FunctionInUse, ExitFailed, "The token Function cannot be removed while token_url names it.", "Set another token_url: flexvc config set token_url URL."},
	{WorkersDepend, ExitFailed, "The plugin cannot be removed while workers are enabled or on the extension's address.", "flexvc workers disable --all --reset-contact-uri."},
	{PluginNotReleased, ExitFailed, "Workers cannot be enabled while Flex does not load the plugin, which moves agents.", "flexvc plugin deploy."},
	{ActivityUnusable, ExitFailed, "An activity of that name exists with available: yes, which cannot be changed.", "Rename it, or pass --activity-name."},
	{WorkerNotFound, ExitUsage, "A worker named on the command line or in a file does not exist.", "List workers: flexvc workers list."},
	{WorkerAmbiguous, ExitUsage, "A worker's name matches more than one worker.", "Use its SID."},
	{WorkerOffline, ExitFailed, "The worker has no registered voice client on the emulator.", "Open Flex with the extension and wait until its icon is green."},
	{FilterRefused, ExitUsage, "Twilio does not accept the filter expression.", "See the TaskRouter expression syntax."},
	{AttributesInvalid, ExitFailed, "A worker's attributes are not a JSON object.", "Fix them in the Console; flexvc skips such workers."},
	{AddressForeign, ExitFailed, "A worker's calls ring a phone: contact_uri does not begin with client:.", "flexvc skips such workers; workers enable --include-foreign moves them too, and keeps the address."},
	{AttributesTooLong, ExitFailed, "A worker's attributes would exceed Twilio's 4096 characters.", "Shorten them first."},
	{EditedSince, ExitFailed, "Somebody gave a worker's flag or contact URI another value, so it was skipped.", "Use the command that the message names."},
	{RunNotFound, ExitUsage, "The run does not exist.", "list runs: flexvc runs list."},
	{RunNotResumable, ExitUsage, "The run has nothing left to do.", "See how it ended: flexvc runs show RUN."},
	{JournalDamaged, ExitFailed, "A run's journal is damaged where it is needed.", "See what is lost: flexvc runs show RUN. The rest can still be rolled back."},
	{EventsTaken, ExitFailed, "The workspace's single event callback is in use for another address.", "Use Event Streams: flexvc events enable, without --callback."},
	{NotFound, ExitFailed, "Twilio does not know the object.", "It may have been deleted."},
	{PreconditionFailed, ExitFailed, "The object kept changing while flexvc tried to change it.", "Try again when it is quieter."},
	{RequestRefused, ExitFailed, "Twilio refused a request.", "The message includes Twilio's error code."},
	{RateLimited, ExitFailed, "Twilio kept rate-limiting requests.", "Try again later."},
	{TwilioUnavailable, ExitFailed, "Twilio is temporarily unable to serve the request.", "Try again later; see status.twilio.com."},
	{TwilioAnswer, ExitFailed, "Twilio's response could not be understood.", "Try again; report it if it persists."},
	{NetworkUnreachable, ExitFailed, "Twilio could not be reached.", "Check the network and the proxy settings."},
	{StoreRefused, ExitFailed, "The Chrome Web Store refused a package or a request.", "The message includes the store's reason."},
	{StoreUnavailable, ExitFailed, "The Chrome Web Store could not be reached or did not respond in time.", "Run the command again to continue."},
	{Timeout, ExitFailed, "The --timeout limit was reached.", "Raise --timeout."},
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
