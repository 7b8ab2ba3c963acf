from vidrestore.api import compare as compare
from vidrestore.api import estimate_noise as estimate_noise
from vidrestore.api import plan as plan
from vidrestore.api import probe as probe
from vidrestore.api import read_frames as read_frames
from vidrestore.api import restore as restore
from vidrestore.api import restore_frames as restore_frames
from vidrestore.api import restore_many as restore_many
from vidrestore.api import score as score
from vidrestore.encoders.codecs import EncodeSettings as EncodeSettings
from vidrestore.errors import VidrestoreError as VidrestoreError
from vidrestore.settings import RestoreSettings as RestoreSettings

__version__: str
