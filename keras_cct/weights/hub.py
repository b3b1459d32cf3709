"""Models on the Hugging Face Hub: `hf://user/name`, read into the hub's cache and written in one commit.

Imports `huggingface_hub`, which is an extra, only when a model is read or written.
"""

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from types import ModuleType

from keras_cct.errors import InputError
from keras_cct.weights.pretrained import CHECKPOINT_FOLDER_VARIABLE, OFFLINE_VARIABLE

SCHEME = "hf://"
MODEL_FILE = "model.keras"
"""Name of the model in a repository."""
MAX_MODEL_BYTES = 2**33

_URL = re.compile(rf"{SCHEME}(?P<repository>[^/@\s]+/[^/@\s]+)(@(?P<revision>[^\s]+))?")
_NAME_ADVICE = "Check the name; for a private one, set HF_TOKEN or run `hf auth login`."
_STATUS_ADVICE = {
    401: "it does not accept the token. Set HF_TOKEN to a valid one, or run `hf auth login`.",
    403: "the token does not permit this. Use one that may write to the repository.",
    409: "the repository was changed at the same time. Run the command again.",
}


def is_hub_url(name: str | PathLike) -> bool:
    """Returns whether a name is the URL of a model on the hub, well-formed or not."""
    return isinstance(name, str) and name.startswith(SCHEME)


def local_model(name: str | PathLike) -> str | PathLike:
    """Returns the local file of a model on the hub, downloaded if necessary; any other name unchanged.

    Raises:
        InputError: The URL is malformed, or the model cannot be downloaded.
    """
    return HubModel.parse(name).fetch() if isinstance(name, str) and is_hub_url(name) else name


@dataclasses.dataclass(frozen=True)
class HubModel:
    """A model repository on the hub.

    Args:
        repository: Owner and name, "user/name".
        revision: Branch, tag or commit; None for the main branch.
    """

    repository: str
    revision: str | None = None

    @classmethod
    def parse(cls, url: str) -> "HubModel":
        """Returns the model that `hf://user/name` or `hf://user/name@revision` names.

        Raises:
            InputError: The URL is malformed.
        """
        match = _URL.fullmatch(url)
        if match is None or ".." in url:
            raise InputError(
                f"{url!r} does not name a model on the hub. Write hf://user/name or hf://user/name@revision."
            )
        return cls(match["repository"], match["revision"])

    def __str__(self) -> str:
        return SCHEME + self.repository + (f"@{self.revision}" if self.revision else "")

    def fetch(self) -> Path:
        """Returns the path of the model in the hub's cache, downloaded if it is missing or has changed.

        If KERAS_CCT_OFFLINE or HF_HUB_OFFLINE is 1, only the cache is used. If KERAS_CCT_CHECKPOINT_DIR names a folder,
        only that is used: it must contain `user/name/model.keras`, or `user/name@revision/model.keras`.

        Raises:
            InputError: The package is not installed, or the model does not exist or cannot be downloaded.
        """
        folder = os.environ.get(CHECKPOINT_FOLDER_VARIABLE)
        if folder:
            path = Path(folder, str(self).removeprefix(SCHEME), MODEL_FILE)
            if not path.is_file():
                raise InputError(
                    f"weights file {str(path)!r} does not exist. Download {MODEL_FILE} of {self} to this path."
                )
            return path
        hub = self._package()
        offline = os.environ.get(OFFLINE_VARIABLE, "0") != "0"
        with self._explained_errors():
            request = {
                "repo_id": self.repository,
                "filename": MODEL_FILE,
                "revision": self.revision,
                "local_files_only": offline,
            }
            size = hub.hf_hub_download(**request, dry_run=True).file_size
            if size > MAX_MODEL_BYTES:
                raise InputError(f"the model has {size:,} bytes, more than {MAX_MODEL_BYTES:,}. Use another one.")
            return Path(hub.hf_hub_download(**request))

    def check_upload(self) -> None:
        """Checks everything that `upload` needs and that can be checked without a request.

        Raises:
            InputError: The package or a token is missing, the name is malformed, a revision is given, or the hub's
                offline mode is on.
        """
        hub = self._package()
        if self.revision:
            raise InputError(f"{self}: models are pushed to the main branch. Leave @{self.revision} out.")
        if hub.is_offline_mode() or os.environ.get(OFFLINE_VARIABLE, "0") != "0":
            raise InputError(f"cannot push to {self}: HF_HUB_OFFLINE or {OFFLINE_VARIABLE} is set. Unset it.")
        if hub.get_token() is None:
            raise InputError(f"cannot push to {self} without a token. Set HF_TOKEN, or run `hf auth login`.")

    def upload(self, files: Mapping[str, bytes | Path], message: str, *, private: bool = False) -> str:
        """Writes files to the repository in one commit, after creating the repository if it does not exist.

        Args:
            files: Content or local path of each file by its name in the repository. Other files are left as they are.
            message: Message of the commit.
            private: Whether only its owner can read the repository.

        Returns:
            The web page of the commit.

        Raises:
            InputError: As for `check_upload`, the hub refuses a request, or `private` is set and the repository is
                public.
        """
        self.check_upload()
        hub = self._package()
        api = hub.HfApi()
        with self._explained_errors():
            api.create_repo(self.repository, private=private or None, exist_ok=True)
            if private and not api.model_info(self.repository).private:
                raise InputError("the repository exists and is public. Make it private on the hub, or omit --private.")
            operations = [hub.CommitOperationAdd(name, content) for name, content in files.items()]
            return api.create_commit(self.repository, operations, commit_message=message).commit_url

    def _package(self) -> ModuleType:
        """Returns `huggingface_hub`, after checking with it that the name of the repository is well-formed."""
        try:
            import huggingface_hub
            from huggingface_hub.utils import validate_repo_id
        except ImportError as error:
            raise InputError(
                f"{self} needs the package huggingface_hub. Run `pip install 'keras_cct[hub]'`."
            ) from error
        try:
            validate_repo_id(self.repository)
        except ValueError as error:
            raise InputError(f"{self}: {error}") from error
        return huggingface_hub

    @contextlib.contextmanager
    def _explained_errors(self) -> Iterator[None]:
        """Converts the errors of requests to one line that names the model.

        Raises:
            InputError: The block raised an error of the hub, of the network or of the file system.
        """
        from huggingface_hub import errors

        try:
            yield
        except InputError as error:
            raise InputError(f"{self}: {error}") from error
        # Besides its own errors, the package raises those of its HTTP library, and ValueError and RuntimeError for
        # unexpected replies.
        except (
            errors.HTTPError,  # pyright: ignore[reportPrivateImportUsage]
            errors.EntryNotFoundError,
            OSError,
            ValueError,
            RuntimeError,
        ) as error:
            raise InputError(f"{self}: {self._explain(error)}") from error

    def _explain(self, error: Exception) -> str:
        """Returns what an error of `huggingface_hub` means, and what to do."""
        from huggingface_hub import errors

        if isinstance(error, errors.LocalEntryNotFoundError):
            reason = error.__cause__ or error
            if not isinstance(reason, errors.HfHubHTTPError):
                return (
                    f"the model is not in the cache, and the hub cannot be reached ({_first_line(reason)}). Check the "
                    f"network, HF_HUB_OFFLINE and {OFFLINE_VARIABLE}."
                )
            error = reason
        if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
            error = error.__cause__  # of the upload of one file
        for kind, text in (
            (errors.GatedRepoError, "the repository is gated. Accept its terms on the hub, and set HF_TOKEN."),
            (errors.RepositoryNotFoundError, f"the repository does not exist, or is private. {_NAME_ADVICE}"),
            (errors.RevisionNotFoundError, f"revision {self.revision!r} does not exist. Check its name."),
            (errors.EntryNotFoundError, f"the repository has no file {MODEL_FILE}. `keras_cct push` writes one."),
        ):
            if isinstance(error, kind):
                return text
        if not isinstance(error, errors.HfHubHTTPError):
            return f"the request to the hub failed: {str(error).rstrip('.')}. Correct it, or try again later."
        status = error.response.status_code
        said = f" ({_first_line(error.server_message)})" if error.server_message else ""
        return f"the hub returned {status}{said}: {_STATUS_ADVICE.get(status, 'try again later.')}"


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
